"""The mailbox: an SMTP server that takes our messages, over a few sessions that are kept open.

A message is handed over once: after the last dot it belongs to the server, and if the connection is lost just there, nobody
knows. That is raised as Unanswered and never tried again here. Everything before that dot is harmless: a session that the
server has ended in the meantime is replaced by a fresh one.
Sources: RFC 5321 (SMTP), 2920 (pipelining), 6531 (addresses in UTF-8), 3207 (STARTTLS).
"""

from __future__ import annotations

import logging
import queue
import re
import smtplib
import ssl
import time
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from shared.contracts.errors import Fault, Refused, TryLater, Unanswered

log = logging.getLogger(__name__)

MAILBOX = "mailbox"  # to whom mails go, in the policy's word
_DEFAULT_PORTS = {"smtp": 25, "smtps": 465, "smtp+starttls": 587}
_REVIEW_SECONDS = 300.0
# No line ends, no angle brackets, no blanks: nothing that could end the command it stands in.
_ADDRESS = re.compile(r"[^\s<>\x00-\x20\x7f]{1,320}")
_BARE_LINE_END = re.compile(rb"\r\n|\r|\n")
_LEADING_DOT = re.compile(rb"^\.", re.MULTILINE)


class MailRefused(Refused):
    """The server will never take this message. `code` says what it refused, `reply_code` is its three digits, if it was asked."""

    def __init__(self, code: str, reply_code: int | None = None) -> None:
        super().__init__((Fault(code),))
        self.reply_code = reply_code


class _LostSessionError(Exception):
    """The connection failed before the message was handed over."""


@dataclass(slots=True)
class _Session:
    smtp: smtplib.SMTP
    used_at: float
    sent: int = 0


class Mailbox:
    """An SMTP server. Safe to share between greenthreads; `pool_size` bounds the sessions, further messages wait.

    `smtp_url` is `smtp://`, `smtps://` or `smtp+starttls://` `[user:password@]host[:port]`; certificates are always checked, by
    `ca_file` if it is given. `timeout_seconds` is (to connect, to wait for a reply); `hello_name` is what we call ourselves.
    A session is given up after `longest_idle_seconds` or `most_messages`, before the server does it.
    """

    def __init__(
        self,
        smtp_url: str,
        *,
        timeout_seconds: tuple[float, float] = (10.0, 60.0),
        pool_size: int = 4,
        ca_file: str | None = None,
        hello_name: str = "localhost",
        longest_idle_seconds: float = 30.0,
        most_messages: int = 100,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        parts = urlsplit(smtp_url)
        if parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
            raise ValueError("an SMTP URL is smtp://, smtps:// or smtp+starttls:// with a host")
        self._scheme, self._host = parts.scheme, parts.hostname
        self._port = parts.port or _DEFAULT_PORTS[parts.scheme]
        self._user, self._password = unquote(parts.username or ""), unquote(parts.password or "")
        self._tls = None if parts.scheme == "smtp" else ssl.create_default_context(cafile=ca_file)
        self._connect_seconds, self._reply_seconds = timeout_seconds
        self._hello_name = hello_name
        self._longest_idle_seconds, self._most_messages = longest_idle_seconds, most_messages
        self._clock = clock
        # Last in, first out: in quiet times one session is used and the others grow old.
        self._pool: queue.LifoQueue[_Session | None] = queue.LifoQueue()
        for _ in range(pool_size):
            self._pool.put(None)

    def send(self, sender: str, recipient: str, message: bytes, *, smtputf8: bool) -> None:
        """Hand one message to the server, for one recipient.

        `smtputf8` says that an address or a header is not ASCII. Returns when the server has taken it. Raises MailRefused for
        what it will never take, TryLater where nothing was handed over and a later try may work, Unanswered where it is not
        known. Not safe to repeat after it returned or raised Unanswered: the mail may come twice.
        """
        if not _ADDRESS.fullmatch(sender) or not _ADDRESS.fullmatch(recipient):
            raise MailRefused("address_invalid")
        if not smtputf8 and not (sender.isascii() and recipient.isascii()):
            raise MailRefused("smtputf8_needed")
        content = _on_the_wire(message)
        session = self._pool.get()
        kept = None
        try:
            if session is not None and self._is_old(session):
                _drop(session)
                session = None
            if session is not None:
                try:
                    self._hand_over(session, sender, recipient, content, smtputf8=smtputf8)
                except _LostSessionError:
                    # The server had ended it in the meantime; the message has not gone out.
                    _drop(session)
                    session = None
                else:
                    kept = session
                    return
            session = self._open()
            try:
                self._hand_over(session, sender, recipient, content, smtputf8=smtputf8)
            except _LostSessionError:
                raise TryLater("connection_lost") from None
            kept = session
        except MailRefused:
            kept = session if session is not None and session.smtp.sock is not None else None
            raise
        finally:
            if session is not None and kept is None:
                _drop(session)
            self._pool.put(kept)

    def close(self) -> None:
        """Close the sessions that are idle. Safe to repeat."""
        for _ in range(self._pool.qsize()):
            session = self._pool.get()
            if session is not None:
                _drop(session)
            self._pool.put(None)

    def _is_old(self, session: _Session) -> bool:
        return session.sent >= self._most_messages or self._clock() - session.used_at > self._longest_idle_seconds

    def _open(self) -> _Session:
        tls = self._tls
        smtp: smtplib.SMTP | None = None
        try:
            if self._scheme == "smtps" and tls is not None:
                smtp = smtplib.SMTP_SSL(self._host, self._port, self._hello_name, timeout=self._connect_seconds, context=tls)
            else:
                smtp = smtplib.SMTP(self._host, self._port, self._hello_name, timeout=self._connect_seconds)
            if smtp.sock is not None:
                smtp.sock.settimeout(self._reply_seconds)
            smtp.ehlo_or_helo_if_needed()
            if self._scheme == "smtp+starttls":
                # Without it the server would get password and message in the clear: smtplib raises if it is not offered.
                smtp.starttls(context=tls)
                smtp.ehlo()
            if self._user:
                self._log_in(smtp)
        except ssl.SSLCertVerificationError:
            failed = TryLater("party_untrusted", after_seconds=_REVIEW_SECONDS)
        except smtplib.SMTPAuthenticationError:
            failed = TryLater("credentials_refused", after_seconds=_REVIEW_SECONDS)
        except smtplib.SMTPNotSupportedError:
            # No STARTTLS, or no login that we know: never go on without.
            failed = TryLater("extension_not_offered", after_seconds=_REVIEW_SECONDS)
        except (smtplib.SMTPException, OSError, UnicodeError):
            failed = TryLater("party_unreachable")
        else:
            return _Session(smtp, self._clock())
        if smtp is not None:
            smtp.close()
        log.info("no session with %s: %s", self._host, failed.code)
        raise failed

    def _log_in(self, smtp: smtplib.SMTP) -> None:
        """With PLAIN in UTF-8 (RFC 4616) where it is offered, for smtplib knows credentials in ASCII only; else as smtplib can."""
        if "PLAIN" not in smtp.esmtp_features.get("auth", "").upper().split():
            smtp.login(self._user, self._password)
            return
        secret = b64encode(f"\0{self._user}\0{self._password}".encode()).decode("ascii")
        code, reply = smtp.docmd("AUTH", f"PLAIN {secret}")
        if code not in (235, 503):  # 503: we are logged in already
            raise smtplib.SMTPAuthenticationError(code, reply)

    def _hand_over(self, session: _Session, sender: str, recipient: str, content: bytes, *, smtputf8: bool) -> None:
        smtp = session.smtp
        if smtputf8 and not smtp.has_extn("smtputf8"):
            raise MailRefused("smtputf8_unsupported")
        options = (" BODY=8BITMIME" if smtp.has_extn("8bitmime") else "") + (" SMTPUTF8" if smtputf8 else "")
        commands = (f"MAIL FROM:<{sender}>{options}\r\n", f"RCPT TO:<{recipient}>\r\n", "DATA\r\n")
        try:
            mail, rcpt, data = _envelope(smtp, [command.encode() for command in commands])
        except (smtplib.SMTPException, OSError):
            raise _LostSessionError from None
        if data // 100 == 3 and (mail // 100, rcpt // 100) == (2, 2):
            try:
                smtp.send(content)
                reply, _ = smtp.getreply()
            except (smtplib.SMTPException, OSError):
                # The last dot may have arrived.
                log.info("no answer from %s: connection_lost", self._host)
                raise Unanswered("connection_lost") from None
            session.sent, session.used_at = session.sent + 1, self._clock()
            if reply // 100 == 2:
                return
            if reply // 100 == 5:
                raise MailRefused("message_refused", reply)
            raise TryLater("mail_deferred")
        self._refused(session, mail, rcpt, data)

    def _refused(self, session: _Session, mail: int, rcpt: int, data: int) -> None:
        """Raise what the first refusal of the envelope means; the session is cleared for the next message."""
        first = next(reply for reply, wanted in ((mail, 2), (rcpt, 2), (data, 3)) if reply // 100 != wanted)
        if first == 421:
            raise _LostSessionError
        try:
            if data // 100 == 3:
                # Pipelined, and DATA was taken without a recipient: an empty message ends it, and goes to nobody (RFC 2920, 3.1).
                session.smtp.send(b".\r\n")
                session.smtp.getreply()
            session.smtp.rset()
        except (smtplib.SMTPException, OSError):
            session.smtp.close()
        session.used_at = self._clock()
        if first // 100 != 5:
            raise TryLater("mail_deferred")
        if mail // 100 == 2:
            raise MailRefused("recipient_refused" if rcpt // 100 != 2 else "message_refused", first)
        # Our own address or login is not welcome: an operator's fault and no customer's, so it waits until that is put right.
        raise TryLater("sender_refused", after_seconds=_REVIEW_SECONDS)


def _envelope(smtp: smtplib.SMTP, commands: list[bytes]) -> list[int]:
    """The replies to MAIL, RCPT and DATA, sent in one piece where the server allows it; after a refusal the rest is not sent."""
    if smtp.has_extn("pipelining"):
        smtp.send(b"".join(commands))
        return [smtp.getreply()[0] for _ in commands]
    replies: list[int] = []
    for command in commands:
        smtp.send(command)
        replies.append(smtp.getreply()[0])
        if replies[-1] // 100 not in {2, 3}:
            break
    # 503, bad sequence of commands: what the server would have said to the rest.
    return replies + [503] * (len(commands) - len(replies))


def _on_the_wire(message: bytes) -> bytes:
    """The message with CRLF as its only line end, leading dots doubled, and the dot that ends it (RFC 5321, 4.5.2)."""
    ends = message.count(b"\r\n")
    if message.count(b"\n") != ends or message.count(b"\r") != ends:
        message = _BARE_LINE_END.sub(b"\r\n", message)
    if b"\n." in message or message.startswith(b"."):
        message = _LEADING_DOT.sub(b"..", message)
    return message + (b".\r\n" if message.endswith(b"\r\n") else b"\r\n.\r\n")


def _drop(session: _Session) -> None:
    # Without QUIT: it would cost a round trip with a server that may be gone.
    session.smtp.close()
