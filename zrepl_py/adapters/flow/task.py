"""One blocking call in a thread of its own, whose end can be polled and waited for with a deadline.

It exists because a ZFS call can hang for ever in a suspended pool: whoever started it must be able
to walk away. So the thread is a daemon thread, and nothing here waits without a limit.
"""

import os
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from zrepl_py.errors import Passing

T = TypeVar("T")


class Task(Generic[T]):
    """Runs `work` at once. `fileno()` becomes readable when it has ended. Passing(no-resources)
    when it could not even be started."""

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._work: Callable[[], T] | None = work
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._result: T | None = None
        self.error: BaseException | None = None
        self._fd = -1
        try:
            self._fd = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            threading.Thread(target=self._run, name=name, daemon=True).start()
        except (OSError, RuntimeError) as error:
            self.close()
            raise Passing("no-resources", f"No thread could be started: {error}.") from None

    def fileno(self) -> int:
        """A descriptor that becomes readable at the end; -1 once closed."""
        return self._fd

    @property
    def ended(self) -> bool:
        """Whether the call has returned or raised."""
        return self._ended.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for the end; whether it was reached."""
        return self._ended.wait(seconds)

    def outcome(self) -> T:
        """What the call returned; raises what it raised. Only once it has ended."""
        if self.error is not None:
            raise self.error
        return self._result  # type: ignore[return-value]  # None only where T allows it

    def close(self) -> None:
        """Give up the descriptor; the call itself runs on if it has not ended."""
        with self._lock:
            fd, self._fd = self._fd, -1
            if fd >= 0:
                os.close(fd)

    def _run(self) -> None:
        work, self._work = self._work, None
        try:
            if work is not None:
                self._result = work()
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits
            self.error = error
        finally:
            with self._lock:
                self._ended.set()
                if self._fd >= 0:
                    os.eventfd_write(self._fd, 1)
