"""The start of a service's process. Imported before everything else: eventlet must patch first, and psycopg must learn of it."""

from __future__ import annotations

import os
import warnings

# psycopg's C wait knows nothing of eventlet and would stop every other greenthread: see shared.database.
os.environ.setdefault("PSYCOPG_WAIT_FUNC", "wait_selector")
warnings.filterwarnings("ignore", message="(?s).*Eventlet is deprecated")

import eventlet  # noqa: E402

eventlet.monkey_patch()

import gc  # noqa: E402
import logging  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

from nameko.containers import ServiceContainer  # noqa: E402

from shared import logs  # noqa: E402
from shared.broker_address import BrokerUntrusted  # noqa: E402
from shared.contracts.errors import BrownPaperError  # noqa: E402
from shared.database import Database, DatabaseUnavailable, DatabaseUntrusted  # noqa: E402
from shared.delivery import steps  # noqa: E402
from shared.delivery.connecting import BROKEN, TopologyMissing, require_topology  # noqa: E402
from shared.settings import DeliverySettings  # noqa: E402

_log = logging.getLogger("brownpaper.runtime")
_OBJECTS_BETWEEN_COLLECTIONS = 20_000
_GRACE_SECONDS = 2  # for the steps of stopping that are not the engine's, and once more for what does not even hear of it


def run(door: type[Any], settings_class: type[DeliverySettings]) -> None:
    """Serve this door until SIGTERM or SIGINT; exits with a sentence when settings, keys, broker or topology are not right."""
    try:
        settings = settings_class.read()
    except BrownPaperError as error:
        sys.exit(f"{door.name}: {error}")
    logs.configure(door.name, settings.log_level)
    steps.watch(os.environ)
    # Nameko would log each failing worker with its traceback's text; the engine and the HTTP door say it without.
    logging.getLogger("nameko.containers").setLevel(logging.CRITICAL)
    _refuse_untrusted_databases(settings, door.name)
    _await_topology(settings, door.name)
    # More workers than calls may be in hand (`Calls`): a party's long silence must leave one for the batches.
    container = ServiceContainer(
        door, {"settings": settings, "WEB_SERVER_ADDRESS": settings.http_address, "max_workers": 3000, "serializer": "json"}
    )
    stop = eventlet.event.Event()
    _hear_of_the_end(stop, settings.stop_timeout_seconds + 2 * _GRACE_SECONDS)
    try:
        container.start()
    except BrownPaperError as error:
        sys.exit(f"{door.name}: does not start: {error}")
    _spare_the_collector()
    _log.info("started", extra={"address": settings.http_address})
    eventlet.spawn_n(_die_together, container, stop)
    stop.wait()
    _log.info("stopping")
    # Whatever hangs, the process ends within its time limit; what is not finished comes again after the next start.
    with eventlet.Timeout(settings.stop_timeout_seconds + _GRACE_SECONDS, False):
        container.stop()
    _log.info("stopped")
    sys.stdout.flush()
    os._exit(0)


def _hear_of_the_end(stop: Any, limit_seconds: float) -> None:
    """Have SIGTERM and SIGINT send `stop`. Where nobody hears it, as the start hangs, SIGALRM ends the process after the limit."""

    def hear(*_: object) -> None:
        if not stop.ready() and signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0):
            signal.setitimer(signal.ITIMER_REAL, limit_seconds)
            eventlet.spawn_n(stop.send, None)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, hear)


def _spare_the_collector() -> None:
    """What was imported and made until now stays for good, and a batch makes some ten thousand objects that are all gone after it.

    Looking through them after every 700, as Python does by itself, finds nothing and takes a twentieth of a service's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS, 10, 10)


def _die_together(container: ServiceContainer, stop: Any) -> None:
    """A loop of the engine that ends by an error ends the process: whoever supervises it starts it again."""
    try:
        container.wait()
    except Exception as error:
        _log.critical("died", extra={"error": type(error).__name__}, exc_info=True)
        os._exit(1)
    if not stop.ready():
        stop.send(None)


def _refuse_untrusted_databases(settings: DeliverySettings, name: str) -> None:
    """A server that is away is waited for later; one whose certificate is not trusted is said at once."""
    for setting in ("database_url", "keyring_database_url"):
        if (url := getattr(settings, setting, None)) is None:
            continue
        database = Database(url, name=f"{name}.start", most_connections=1)
        try:
            with database.single():
                pass
        except DatabaseUntrusted as error:
            sys.exit(
                f"{name}: {setting.upper()}: {error}: the certificate of the server is not trusted (authority, name or date)"
            )
        except DatabaseUnavailable:
            pass
        finally:
            database.close()


def _await_topology(settings: DeliverySettings, name: str) -> None:
    for _ in range(60):
        try:
            return require_topology(settings.amqp_uri, f"{name}.start")
        except BrokerUntrusted as error:
            sys.exit(f"{name}: AMQP_URI: {error}")
        except BROKEN:
            eventlet.sleep(0.5)
        except TopologyMissing as error:
            sys.exit(f"{name}: the broker does not hold this release's topology ({error}): `make up` declares it")
        except BrownPaperError as error:
            sys.exit(f"{name}: {error}")
    sys.exit(f"{name}: the broker does not answer")
