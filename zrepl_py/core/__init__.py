"""Pure verbs: from what was observed to what should be done. No effects, no clock, no names of
machines; every function here can be called twice with the same result."""
