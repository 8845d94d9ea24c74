"""What is wrong or risky on this node? Judged from what was seen (seen.py), purely.

Each judge_ takes one kind of observation and returns findings; what could not be seen is said to be
unseen, never to be fine. docs/reference/doctor.md lists every finding; a test keeps it equal.
"""
