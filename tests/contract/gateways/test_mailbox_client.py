"""The mailbox client against a scripted SMTP server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest

from services.notifications.gateway import Mailbox, MailRefused
from shared.contracts.errors import TryLater, Unanswered

FROM, TO = "shop@shop.example", "ana@example.com"
MAIL = b"Subject: x\r\n\r\nHello\r\n"


class Server:
    """Answers by the first word of a command (`.` for the message's end); what a test put into `replies` comes first."""

    def __init__(self, *extensions: str) -> None:
        self.extensions = extensions
        self.replies: dict[str, list[str]] = {}
        self.commands: list[str] = []
        self.mails: list[bytes] = []
        self.sessions = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.sessions += 1
            self._open.append(connection)
            self._threads.append(threading.Thread(target=self._talk, args=(connection,)))
            self._threads[-1].start()

    def _talk(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as lines:
                connection.sendall(b"220 stub\r\n")
                while self._answer(connection, lines):
                    pass
        except OSError:
            pass

    def _answer(self, connection: socket.socket, lines: Any) -> bool:
        line = lines.readline()
        if not line:
            return False
        word = line.split()[0].decode().upper() if line.strip() else ""
        self.commands.append(line.decode().rstrip("\r\n"))
        usual = "".join(f"250-{one}\r\n" for one in ("stub", *self.extensions)) + "250 HELP"
        reply = self._next(word, {"EHLO": usual, "DATA": "354 go on"}.get(word, "250 ok"))
        if reply == "lost":
            return False
        connection.sendall(f"{reply}\r\n".encode())
        if word == "DATA" and reply.startswith("354"):
            body = b""
            while (line := lines.readline()) != b".\r\n":
                if not line:
                    return False
                body += line
            reply = self._next(".", "250 taken")
            if reply == "lost":
                return False
            if reply.startswith("250"):
                self.mails.append(body)
            connection.sendall(f"{reply}\r\n".encode())
        return True

    def _next(self, word: str, usual: str) -> str:
        return self.replies[word].pop(0) if self.replies.get(word) else usual

    def hang_up(self) -> None:
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self.hang_up()
        for thread in self._threads:
            thread.join()


@pytest.fixture(params=[("8BITMIME", "SMTPUTF8"), ("8BITMIME", "SMTPUTF8", "PIPELINING")], ids=["plain", "pipelining"])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    server = Server(*request.param)
    yield server
    server.close()


@pytest.fixture
def mailbox(server: Server) -> Iterator[Callable[..., Mailbox]]:
    made: list[Mailbox] = []

    def make(**options: Any) -> Mailbox:
        made.append(Mailbox(f"smtp://127.0.0.1:{server.port}", timeout_seconds=(60, 60), **options))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_one_session_serves_many_mails(server: Server, mailbox: Any) -> None:
    client = mailbox()
    for _ in range(3):
        client.send(FROM, TO, MAIL, smtputf8=False)
    assert (server.sessions, server.mails) == (1, [MAIL] * 3)
    assert server.commands[:4] == ["ehlo localhost", f"MAIL FROM:<{FROM}> BODY=8BITMIME", f"RCPT TO:<{TO}>", "DATA"]


def test_dots_and_line_ends_arrive_as_they_were(server: Server, mailbox: Any) -> None:
    mailbox().send(FROM, TO, b".one\n..two\r\n.\r\nthree\rfour", smtputf8=False)
    assert server.mails == [b"..one\r\n...two\r\n..\r\nthree\r\nfour\r\n"]


def test_an_address_beyond_ascii(server: Server, mailbox: Any) -> None:
    mailbox().send(FROM, "anä@example.com", MAIL, smtputf8=True)
    assert f"MAIL FROM:<{FROM}> BODY=8BITMIME SMTPUTF8" in server.commands
    with pytest.raises(MailRefused, match="smtputf8_needed"):
        mailbox().send(FROM, "anä@example.com", MAIL, smtputf8=False)
    server.extensions = ()
    with pytest.raises(MailRefused, match="smtputf8_unsupported"):
        mailbox().send(FROM, "anä@example.com", MAIL, smtputf8=True)


@pytest.mark.parametrize(
    "address", ["", "a b@example.com", "a>@example.com", "a@example.com\r\nRCPT TO:<b@example.com", "a\x00@x"]
)
def test_an_address_that_would_end_its_command(server: Server, mailbox: Any, address: str) -> None:
    with pytest.raises(MailRefused, match="address_invalid"):
        mailbox().send(FROM, address, MAIL, smtputf8=False)
    assert not server.commands


@pytest.mark.parametrize(
    ("word", "reply", "error", "code"),
    [
        ("RCPT", "550 no such user ana@example.com", MailRefused, "recipient_refused"),
        ("RCPT", "450 greylisted", TryLater, "mail_deferred"),
        ("MAIL", "553 sender", TryLater, "sender_refused"),
        ("MAIL", "452 full", TryLater, "mail_deferred"),
        ("DATA", "554 no", MailRefused, "message_refused"),
        (".", "554 spam", MailRefused, "message_refused"),
        (".", "451 later", TryLater, "mail_deferred"),
        (".", "lost", Unanswered, "connection_lost"),
    ],
)
def test_refusals_and_the_next_mail(server: Server, mailbox: Any, word: str, reply: str, error: Any, code: str) -> None:
    client = mailbox()
    server.replies[word] = [reply]
    with pytest.raises(error) as raised:
        client.send(FROM, TO, MAIL, smtputf8=False)
    assert (type(raised.value), raised.value.code) == (error, code)
    assert TO not in repr(raised.value) + repr(raised.value.__cause__)
    if error is MailRefused:
        assert raised.value.reply_code == int(reply[:3])
        assert server.sessions == 1
    server.mails.clear()
    client.send(FROM, TO, MAIL, smtputf8=False)
    assert server.mails == [MAIL]


@pytest.mark.parametrize("how", ["421 bye", "hang up", "old", "many"])
def test_a_session_that_has_ended_is_replaced(server: Server, mailbox: Any, how: str) -> None:
    now = [0.0]
    client = mailbox(clock=lambda: now[0], most_messages=1 if how == "many" else 100)
    client.send(FROM, TO, MAIL, smtputf8=False)
    if how == "hang up":
        server.hang_up()
    elif how == "old":
        now[0] = 31.0
    elif how == "421 bye":
        server.replies["MAIL"] = [how]
    client.send(FROM, TO, MAIL, smtputf8=False)
    assert (server.sessions, server.mails) == (2, [MAIL, MAIL])


def test_a_server_that_cannot_be_reached_or_secured(server: Server) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(TryLater, match="party_unreachable"):
        Mailbox(f"smtp://127.0.0.1:{port}").send(FROM, TO, MAIL, smtputf8=False)
    with pytest.raises(TryLater, match="extension_not_offered"):
        Mailbox(f"smtp+starttls://127.0.0.1:{server.port}").send(FROM, TO, MAIL, smtputf8=False)
    assert not server.mails


@pytest.mark.parametrize("url", ["http://x", "smtp://", "x"])
def test_a_url_that_is_none(url: str) -> None:
    with pytest.raises(ValueError, match="an SMTP URL"):
        Mailbox(url)
