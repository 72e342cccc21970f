"""Running one of a door's methods as a Nameko worker, and waiting for what it gives."""

from __future__ import annotations

from typing import Any

from eventlet.event import Event as Happening
from nameko.containers import ServiceContainer
from nameko.extensions import Entrypoint


def run_worker(container: ServiceContainer, entrypoint: Entrypoint, *args: object) -> Any:
    """Call the entrypoint's method with its service's dependencies; gives its result, or raises what it raised."""
    happening = Happening()

    def tell(_context: object, result: object, exc_info: Any) -> tuple[object, None]:
        happening.send((result, exc_info))
        return result, None  # Nameko's dependencies need not hear of errors: whoever waits here does

    container.spawn_worker(entrypoint, args, {}, handle_result=tell)
    result, exc_info = happening.wait()
    if exc_info is not None:
        raise exc_info[1]
    return result
