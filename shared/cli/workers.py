"""The threads of a run, and how long nothing has changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class Workers:
    """The demo's threads. What one of them dies of is raised by `check`; `end` asks all to stop and waits for them."""

    def __init__(self, stop: threading.Event) -> None:
        self._stop = stop
        self._threads: list[threading.Thread] = []
        self._died_of: list[BaseException] = []

    def start(self, name: str, work: Callable[[], object]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except Exception as error:  # it is raised again in the main thread
                if not self._stop.is_set():
                    self._died_of.append(error)

        thread = threading.Thread(target=run, name=name, daemon=True)
        self._threads.append(thread)
        thread.start()
        return thread

    def check(self) -> None:
        if self._died_of:
            raise self._died_of[0]

    def end(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=10)


class Stillness:
    """For how long nothing has changed."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: object = None
        self._since = clock()

    def seconds(self, picture: object) -> float:
        """Seconds since `picture` was last another one."""
        if picture != self._last:
            self._last, self._since = picture, self._clock()
        return self._clock() - self._since
