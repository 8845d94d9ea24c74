"""What holds for all tests."""

from hypothesis import settings

# No test judges by the clock: on a busy machine an example may take ten times as long.
settings.register_profile("zr", deadline=None)
settings.load_profile("zr")
