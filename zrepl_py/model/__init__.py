"""Frozen nouns. Nothing here decides, reads or changes anything."""
