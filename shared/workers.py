"""Running one of a door's methods as a Nameko worker, and waiting for what it gives."""

from __future__ import annotations

from typing import Any

import eventlet
from eventlet.event import Event as Happening
from nameko.containers import ServiceContainer
from nameko.extensions import Entrypoint


class WorkerTooSlow(Exception):
    """A worker took longer than it may, and was ended."""


def run_worker(container: ServiceContainer, entrypoint: Entrypoint, *args: object, timeout_seconds: float | None = None) -> Any:
    """Call the entrypoint's method with its service's dependencies; gives its result, or raises what it raised.

    Raises WorkerTooSlow after `timeout_seconds`; the worker is ended where it waits, and its connections with it.
    """
    happening = Happening()

    def tell(_context: object, result: object, exc_info: Any) -> tuple[object, None]:
        happening.send((result, exc_info))
        return result, None  # Nameko's dependencies need not hear of errors: whoever waits here does

    context = container.spawn_worker(entrypoint, args, {}, handle_result=tell)
    try:
        with eventlet.Timeout(timeout_seconds, WorkerTooSlow):
            result, exc_info = happening.wait()
    except WorkerTooSlow:
        container._worker_threads[context].kill()  # Nameko has no public way to end one worker
        raise
    if exc_info is not None:
        raise exc_info[1]
    return result
