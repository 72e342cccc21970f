"""An SMTP server (RFC 5321 with 8BITMIME, SMTPUTF8, PIPELINING, SIZE, STARTTLS and AUTH), as one asyncio protocol.

It is written for little CPU per mail: commands are handled as the bytes arrive, pipelined answers leave in one write.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ssl
from collections.abc import Callable
from dataclasses import dataclass

_LONGEST_LINE_BYTES = 4096
_MOST_RECIPIENTS = 100
_END_OF_DATA = b"\r\n.\r\n"


@dataclass(slots=True)
class SmtpSettings:
    """How the server greets and what it asks for. `take` keeps a mail and says whether its answer is lost."""

    take: Callable[[bytes], bool]
    largest_mail_bytes: int = 10 * 1024 * 1024
    credentials: tuple[str, str] | None = None
    starttls: ssl.SSLContext | None = None


class SmtpSession(asyncio.Protocol):
    """One connection. Nothing that is said on it is ever logged."""

    def __init__(self, settings: SmtpSettings, *, encrypted: bool = False) -> None:
        self._settings = settings
        self._encrypted = encrypted
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._replies: list[bytes] = []
        self._greeted = False
        self._authenticated = settings.credentials is None
        self._pending_login: list[bytes] | None = None
        self._upgrading: asyncio.Task[None] | None = None
        self._reset()

    def _reset(self) -> None:
        self._sender = False
        self._recipients = 0
        self._utf8 = False
        self._in_data = False
        self._searched = 0

    # -- transport ------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP and TLS give nothing else
        first = self._transport is None
        self._transport = transport
        if first:
            transport.write(b"220 mailbox.sandbox ESMTP\r\n")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self._transport = None
        self._buffer.clear()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while self._transport is not None and not self._transport.is_closing():
            if not (self._take_data() if self._in_data else self._take_line()):
                break
        self._send_replies()

    def eof_received(self) -> bool:
        return False

    def _send_replies(self) -> None:
        if self._replies and self._transport is not None:
            self._transport.write(b"".join(self._replies))
            self._replies.clear()

    def _reply(self, text: bytes) -> None:
        self._replies.append(text + b"\r\n")

    def _close(self) -> None:
        self._send_replies()
        if self._transport is not None:
            self._transport.close()

    # -- the mail's text ------------------------------------------------------------------------------------------------

    def _take_data(self) -> bool:
        """Take the text up to the lone dot; whether there is more to do."""
        buffer = self._buffer
        if buffer.startswith(b".\r\n"):
            end, after = 0, 3
        else:
            end = buffer.find(_END_OF_DATA, self._searched)
            if end < 0:
                self._searched = max(0, len(buffer) - len(_END_OF_DATA))
                if len(buffer) > 2 * self._settings.largest_mail_bytes:
                    self._reply(b"552 5.3.4 message too big")
                    self._close()
                return False
            end, after = end + 2, end + len(_END_OF_DATA)
        text = bytes(buffer[:end])
        del buffer[:after]
        self._reset()
        if len(text) > self._settings.largest_mail_bytes:
            self._reply(b"552 5.3.4 message too big")
            return True
        if text.startswith(b"."):
            text = text[1:]
        text = text.replace(b"\r\n.", b"\r\n")
        if self._settings.take(text):
            # The mail is kept; whoever sent it will never hear so. Answers to earlier commands still leave.
            self._send_replies()
            if self._transport is not None:
                self._transport.abort()
            return False
        self._reply(b"250 2.0.0 kept")
        return True

    # -- commands -------------------------------------------------------------------------------------------------------

    def _take_line(self) -> bool:
        end = self._buffer.find(b"\n")
        if end < 0:
            if len(self._buffer) > _LONGEST_LINE_BYTES:
                self._reply(b"500 5.5.2 line too long")
                self._close()
            return False
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        if self._pending_login is not None:
            self._continue_login(line)
            return True
        verb, _, rest = line.partition(b" ")
        handler = self._handlers.get(verb.upper())
        if handler is None:
            self._reply(b"500 5.5.2 unknown command")
            return True
        handler(self, rest.strip())
        return self._upgrading is None

    def _ehlo(self, rest: bytes) -> None:
        if not rest:
            self._reply(b"501 5.5.4 a name is missing")
            return
        self._greeted = True
        self._reset()
        lines = [b"mailbox.sandbox", b"PIPELINING", b"8BITMIME", b"SMTPUTF8", b"ENHANCEDSTATUSCODES"]
        lines.append(b"SIZE %d" % self._settings.largest_mail_bytes)
        if self._settings.starttls is not None and not self._encrypted:
            lines.append(b"STARTTLS")
        if self._settings.credentials is not None and self._may_log_in():
            lines.append(b"AUTH PLAIN LOGIN")
        for line in lines[:-1]:
            self._reply(b"250-" + line)
        self._reply(b"250 " + lines[-1])

    def _helo(self, rest: bytes) -> None:
        self._greeted = bool(rest)
        self._reset()
        self._reply(b"250 mailbox.sandbox" if rest else b"501 5.5.4 a name is missing")

    def _mail(self, rest: bytes) -> None:
        if not self._greeted or self._sender:
            self._reply(b"503 5.5.1 bad sequence of commands")
            return
        if not self._authenticated:
            self._reply(b"530 5.7.0 authentication required")
            return
        address, parameters = _read_path(rest, b"FROM:")
        if address is None:
            self._reply(b"501 5.5.4 malformed sender")
            return
        for parameter in parameters:
            name, _, value = parameter.upper().partition(b"=")
            if name == b"SIZE" and value.isdigit():
                if int(value) > self._settings.largest_mail_bytes:
                    self._reply(b"552 5.3.4 message too big")
                    return
            elif name == b"SMTPUTF8" and not value:
                self._utf8 = True
            elif not (name == b"BODY" and value in {b"7BIT", b"8BITMIME"}):
                self._reply(b"555 5.5.4 unknown parameter")
                return
        if not address.isascii() and not self._utf8:
            self._reply(b"550 5.6.7 SMTPUTF8 is needed for this address")
            return
        self._sender = True
        self._reply(b"250 2.1.0 ok")

    def _rcpt(self, rest: bytes) -> None:
        if not self._sender:
            self._reply(b"503 5.5.1 bad sequence of commands")
            return
        address, parameters = _read_path(rest, b"TO:")
        if not address or b"@" not in address:
            self._reply(b"501 5.1.3 malformed recipient")
        elif parameters:
            self._reply(b"555 5.5.4 unknown parameter")
        elif not address.isascii() and not self._utf8:
            self._reply(b"553 5.6.7 SMTPUTF8 is needed for this address")
        elif self._recipients >= _MOST_RECIPIENTS:
            self._reply(b"452 4.5.3 too many recipients")
        else:
            self._recipients += 1
            self._reply(b"250 2.1.5 ok")

    def _data(self, _rest: bytes) -> None:
        if not self._recipients:
            self._reply(b"503 5.5.1 no valid recipients" if self._sender else b"503 5.5.1 bad sequence of commands")
            return
        self._in_data = True
        self._searched = 0
        self._reply(b"354 go on, end with a lone dot")

    def _rset(self, _rest: bytes) -> None:
        self._reset()
        self._reply(b"250 2.0.0 ok")

    def _noop(self, _rest: bytes) -> None:
        self._reply(b"250 2.0.0 ok")

    def _vrfy(self, _rest: bytes) -> None:
        self._reply(b"252 2.5.2 send some mail")

    def _quit(self, _rest: bytes) -> None:
        self._reply(b"221 2.0.0 bye")
        self._close()

    # -- TLS and credentials --------------------------------------------------------------------------------------------

    def _starttls(self, _rest: bytes) -> None:
        context = self._settings.starttls
        if context is None or self._encrypted or self._transport is None:
            self._reply(b"502 5.5.1 not available")
            return
        self._reply(b"220 2.0.0 go on")
        self._send_replies()
        # What was pipelined behind STARTTLS in the clear must not be taken as said under TLS (RFC 3207, section 4.2).
        self._buffer.clear()
        self._transport.pause_reading()
        self._upgrading = asyncio.get_running_loop().create_task(self._upgrade(self._transport, context))

    async def _upgrade(self, transport: asyncio.Transport, context: ssl.SSLContext) -> None:
        try:
            upgraded = await asyncio.get_running_loop().start_tls(transport, self, context, server_side=True)
        except (OSError, ssl.SSLError):
            transport.abort()
            return
        self._transport, self._encrypted, self._greeted, self._upgrading = upgraded, True, False, None
        self._reset()

    def _may_log_in(self) -> bool:
        return self._encrypted or self._settings.starttls is None

    def _auth(self, rest: bytes) -> None:
        mechanism, _, initial = rest.partition(b" ")
        if self._settings.credentials is None or not self._may_log_in():
            self._reply(b"502 5.5.1 not available")
        elif self._authenticated:
            self._reply(b"503 5.5.1 already authenticated")
        elif mechanism.upper() == b"PLAIN":
            self._pending_login = [b"PLAIN"]
            if initial:
                self._continue_login(initial)
            else:
                self._reply(b"334 ")
        elif mechanism.upper() == b"LOGIN":
            self._pending_login = [b"LOGIN"]
            if initial:
                self._continue_login(initial)
            else:
                self._reply(b"334 VXNlcm5hbWU6")
        else:
            self._reply(b"504 5.5.4 unknown mechanism")

    def _continue_login(self, line: bytes) -> None:
        pending = self._pending_login or []
        try:
            decoded = base64.b64decode(line, validate=True)
        except (binascii.Error, ValueError):
            self._pending_login = None
            self._reply(b"501 5.5.2 malformed credentials")
            return
        if pending == [b"LOGIN"]:
            pending.append(decoded)
            self._reply(b"334 UGFzc3dvcmQ6")
            return
        self._pending_login = None
        given = decoded.split(b"\0")[1:] if pending == [b"PLAIN"] else [pending[1], decoded]
        user, password = self._settings.credentials or ("", "")
        self._authenticated = len(given) == 2 and all(
            [hmac.compare_digest(given[0], user.encode()), hmac.compare_digest(given[1], password.encode())]
        )
        self._reply(b"235 2.7.0 welcome" if self._authenticated else b"535 5.7.8 wrong credentials")

    _handlers: dict[bytes, Callable[[SmtpSession, bytes], None]] = {  # noqa: RUF012 - never changed
        b"EHLO": _ehlo,
        b"HELO": _helo,
        b"MAIL": _mail,
        b"RCPT": _rcpt,
        b"DATA": _data,
        b"RSET": _rset,
        b"NOOP": _noop,
        b"VRFY": _vrfy,
        b"QUIT": _quit,
        b"STARTTLS": _starttls,
        b"AUTH": _auth,
    }


def _read_path(rest: bytes, keyword: bytes) -> tuple[bytes | None, list[bytes]]:
    """Read `FROM:<a@b> PARAMETERS`; the address is None where it is malformed and empty for the null sender."""
    if rest[: len(keyword)].upper() != keyword:
        return None, []
    path = rest[len(keyword) :].lstrip()
    if not path.startswith(b"<") or b">" not in path:
        return None, []
    end = path.index(b">") if not path.startswith(b'<"') else path.rindex(b">")
    return path[1:end], path[end + 1 :].split()
