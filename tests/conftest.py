"""What holds for all tests."""

import gc

from hypothesis import settings

# No test judges by the clock: on a busy machine an example may take ten times as long.
settings.register_profile("zr", deadline=None)
settings.load_profile("zr")


def pytest_collection_finish() -> None:
    """What was collected stays to the end: the garbage collector need not look at it each time.
    With that and less haste it costs a tenth less time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
