"""Conformance kits, one per port: plain functions that fail with AssertionError. They run on the
model always, and on the real thing in the lab."""
