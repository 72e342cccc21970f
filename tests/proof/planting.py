"""The self-test: other markers are planted in the very places that are read, in every encoding, and each must be seen where it was planted."""

from __future__ import annotations

import http.server
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import amqp
import kombu
import psycopg

from deploy.local.configuration import SANDBOXES
from shared.delivery.topology import ANSWERS_EXCHANGE
from tests.proof.expectations import Seen
from tests.proof.markers import PLANTED, Marker, Mint
from tests.proof.places import Piece
from tests.proof.stage import Stage
from tests.proof.writing import WRITTEN

QUEUE = "proof.planted"
# One planting can come to several places: what is written into a table is in files, log, dump and statistics.
_REACHES = {
    "data": ("data_files", "data_wal", "data_dump", "data_statistics"),
    "keyring": ("keyring_files", "keyring_wal", "keyring_dump"),
    "broker": ("broker_files", "queues"),
    "metrics": ("metrics",),
    "traces": ("traces",),
    "terminal": ("terminal",),
    "logs": ("logs",),
    "answers": ("sent_storefront",),
    **{sandbox.party: (f"sent_{sandbox.party}",) for sandbox in SANDBOXES},
}


class Planter:
    """Plants, and tells afterwards what was not seen. Its markers have a root of their own, so that nobody takes them for a person's."""

    def __init__(self, mint: Mint) -> None:
        self._mint = mint
        self._written = {where: self._write(where) for where in _REACHES}

    def _write(self, where: str) -> list[tuple[Marker, bytes]]:
        texts = []
        for name, write in WRITTEN.items():
            text = self._mint.word(f"{PLANTED} in {where}", name)
            texts.append((self._mint.made[-1], write(text)))
        return texts

    def plant(self, stage: Stage) -> None:
        """Into databases, broker, a service's log, and the ways to the outside parties."""
        for cluster, url in (("data", stage.as_admin("orders")), ("keyring", stage.as_admin("shipping", keyring=True))):
            with psycopg.connect(url, autocommit=True) as connection:
                connection.execute("create table proof_planted (written bytea)")
                connection.execute("alter table proof_planted alter written set storage external")
                for text in self.texts(cluster) * 2:  # what comes twice is in the statistics
                    connection.execute("insert into proof_planted values (%s)", (text,))
        with kombu.Connection(stage.env["ADMIN_AMQP_URI"], transport_options={"confirm_publish": True}) as connection:
            channel = connection.default_channel
            channel.queue_declare(QUEUE, durable=True, auto_delete=False, arguments={"x-queue-type": "quorum"})
            for text in self.texts("broker"):
                channel.basic_publish(amqp.Message(text, delivery_mode=2), exchange="", routing_key=QUEUE)
            for text in self.texts("answers"):
                channel.basic_publish(amqp.Message(text, delivery_mode=2), exchange=ANSWERS_EXCHANGE, routing_key="proof")
        with (stage.folder / "logs" / "orders.log").open("ab") as log:
            log.write(b"\n".join(self.texts("logs")) + b"\n")
        for party, recorder in stage.recorders.items():
            address = urlsplit(recorder.address("tcp://127.0.0.1:1"))
            for text in self.texts(party):
                with suppress(OSError), socket.create_connection(("127.0.0.1", address.port or 0), timeout=2) as connection:
                    connection.sendall(b"HELP " + text + b"\r\n")
                    connection.recv(1)

    def command(self) -> list[str]:
        """A command that prints what is planted in the terminal."""
        planted = b"\n".join(self.texts("terminal"))
        return [sys.executable, "-c", f"import sys; sys.stdout.buffer.write({planted!r})"]

    @contextmanager
    def metrics(self) -> Iterator[str]:
        """The address of metrics in which something is planted."""
        body = b"\n".join(self.texts("metrics"))

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing."""

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
            finally:
                server.shutdown()

    def traces(self, folder: Path) -> Piece:
        """There is no tracer, and so nothing to read but what is planted: in a file, as one that wrote traces would leave it."""
        file = folder / "traces"
        file.write_bytes(b"\n".join(self.texts("traces")))
        return Piece("traces", "planted", file)

    def texts(self, where: str) -> list[bytes]:
        return [text for _, text in self._written[where]]

    def unseen(self, seen: Seen) -> list[str]:
        """What was planted and not seen: `place: encoding`."""
        return [
            f"{place}: {marker.field}"
            for where, places in _REACHES.items()
            for place in places
            for marker, _ in self._written[where]
            if (marker.person, marker.field) not in seen.where.get(place, {})
        ]

    def planted(self) -> int:
        """How many plantings there are to be seen."""
        return sum(len(places) * len(self._written[where]) for where, places in _REACHES.items())
