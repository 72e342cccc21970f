"""The mailbox sandbox, by the standard library's SMTP client."""

from __future__ import annotations

import shutil
import smtplib
import socket
import ssl
import stat
import subprocess
from email.message import EmailMessage
from email.policy import SMTPUTF8
from urllib.parse import urlsplit

import pytest

from tests.integration.facts import PATIENCE_SECONDS, wait_for


@pytest.fixture(scope="module")
def mailbox(start):
    return start("mailbox")


def _mail(message_id, kind="order_confirmation", recipient="ana@example.com"):
    mail = EmailMessage(policy=SMTPUTF8)
    mail["From"] = "shop@example.com"
    mail["To"] = recipient
    mail["Subject"] = "Your order"
    mail["Message-ID"] = f"<{message_id}@example.com>"
    mail["X-Brown-Paper-Kind"] = kind
    mail["X-Brown-Paper-Order"] = "AJ-100042"
    mail.set_content("Guten Tag, Frau Müller\n.\n..and a line of dots\n")
    mail.add_alternative("<p>Guten Tag, Frau Müller</p>", subtype="html")
    return mail


def _client(running, **more):
    place = urlsplit(running.smtp_url)
    return smtplib.SMTP(place.hostname, place.port, timeout=PATIENCE_SECONDS, **more)


def test_a_mail_is_kept_as_files_and_counted_once(start):
    mailbox = start("mailbox")
    with _client(mailbox) as client:
        assert client.send_message(_mail("one")) == {}
        client.send_message(_mail("one"))
        client.send_message(_mail("two", kind="shipment"))
        client.send_message(_mail("three", kind="../../escape"))
    books = mailbox.books()
    assert books["mails"]["<one@example.com>"] == {"number": 1, "kind": "order_confirmation", "order": "AJ-100042", "times": 2}
    assert books["kinds"] == {"order_confirmation": 1, "shipment": 1, "other": 1}
    assert mailbox.summary()["repeats"] == 1
    page = mailbox.ask("GET", "/_sandbox/mails/1")
    assert "Guten Tag, Frau Müller" in page.content.decode()
    folder = mailbox.books_folder / "mails"
    wait_for((folder / "3-other.txt").exists, "the last mail's last file")  # an end waits a second for them at most
    assert mailbox.stop() == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    stems = ("1-order_confirmation", "2-shipment", "3-other")
    expected = {f"{stem}.{end}" for stem in stems for end in ("eml", "html", "txt")}
    assert {path.name for path in folder.iterdir()} == {"spool"} | expected
    text = (folder / "1-order_confirmation.txt").read_text("utf-8")
    assert text.splitlines() == ["Guten Tag, Frau Müller", ".", "..and a line of dots"]


def test_an_international_address_needs_smtputf8(mailbox):
    with _client(mailbox) as client:
        client.send_message(_mail("utf8", recipient="用户@例え.jp"))
    place = urlsplit(mailbox.smtp_url)
    with (
        socket.create_connection((place.hostname, place.port), timeout=PATIENCE_SECONDS) as connection,
        connection.makefile("rb") as answers,
    ):
        connection.sendall("EHLO a\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<用户@example.com>\r\nQUIT\r\n".encode())
        assert [line[:3] for line in answers.read().splitlines()][-2:] == [b"553", b"221"]
    assert "<utf8@example.com>" in mailbox.books()["mails"]


def test_commands_may_be_pipelined(mailbox):
    place = urlsplit(mailbox.smtp_url)
    with (
        socket.create_connection((place.hostname, place.port), timeout=PATIENCE_SECONDS) as connection,
        connection.makefile("rb") as answers,
    ):
        assert answers.readline().startswith(b"220")
        connection.sendall(
            b"EHLO a\r\nMAIL FROM:<a@example.com> BODY=8BITMIME SIZE=20\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"
            b"Message-ID: <piped@example.com>\r\n\r\nhello\r\n.\r\nNOOP\r\nQUIT\r\n"
        )
        said = answers.read().splitlines()
    assert b"250-PIPELINING" in said
    assert b"250-SMTPUTF8" in said
    final = [line[:3] for line in said if line[3:4] == b" "]
    assert final == [b"250", b"250", b"250", b"354", b"250", b"250", b"221"]
    assert "<piped@example.com>" in mailbox.books()["mails"]


@pytest.mark.parametrize(
    ("commands", "code"),
    [
        (["MAIL FROM:<a@example.com>"], 503),
        (["EHLO a", "RCPT TO:<b@example.com>"], 503),
        (["EHLO a", "MAIL FROM:<a@example.com>", "DATA"], 503),
        (["EHLO a", "MAIL FROM:a@example.com"], 501),
        (["EHLO a", "MAIL FROM:<a@example.com>", "RCPT TO:<nobody>"], 501),
        (["EHLO a", "MAIL FROM:<a@example.com> SIZE=99999999"], 552),
        (["EHLO a", "MAIL FROM:<a@example.com> COLOUR=RED"], 555),
        (["HELP"], 500),
        (["EHLO a", "STARTTLS"], 502),
        (["EHLO a", "AUTH PLAIN AAAA"], 502),
    ],
)
def test_a_faulty_dialogue_is_refused(mailbox, commands, code):
    with _client(mailbox) as client:
        answers = [client.docmd(command)[0] for command in commands]
    assert answers[-1] == code


def test_a_lost_answer_comes_after_the_mail_is_kept(start):
    mailbox = start("mailbox", "--lose-answers", "1")
    for _ in range(2):
        with pytest.raises(smtplib.SMTPServerDisconnected), _client(mailbox) as client:
            client.send_message(_mail("lost"))
    with _client(mailbox) as client:
        assert client.send_message(_mail("lost")) == {}
    assert mailbox.books()["mails"]["<lost@example.com>"]["times"] == 3
    assert (mailbox.summary()["mails"], mailbox.summary()["lost_answers"]) == (1, 2)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed, so there is no certificate to try TLS with")
    folder = tmp_path_factory.mktemp("tls")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    subprocess.run([*command, *subject, *files], check=True, capture_output=True)
    return folder


def test_starttls_and_login(start, certificate):
    flags = ["--tls-cert", str(certificate / "cert.pem"), "--tls-key", str(certificate / "key.pem")]
    mailbox = start("mailbox", *flags, "--user", "shop", "--password", "geheim")
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with _client(mailbox) as client:
        client.ehlo()
        assert client.has_extn("starttls")
        assert not client.has_extn("auth")  # no password in the clear where there is TLS
        client.starttls(context=context)
        with pytest.raises(smtplib.SMTPSenderRefused):
            client.send_message(_mail("stranger"))
        with pytest.raises(smtplib.SMTPAuthenticationError):
            client.login("shop", "wrong")
        client.login("shop", "geheim")
        client.send_message(_mail("encrypted"))
    assert list(mailbox.books()["mails"]) == ["<encrypted@example.com>"]


def test_tls_from_the_first_byte(start, certificate):
    flags = ["--tls-cert", str(certificate / "cert.pem"), "--tls-key", str(certificate / "key.pem"), "--implicit-tls"]
    mailbox = start("mailbox", *flags)
    place = urlsplit(mailbox.smtp_url)
    context = ssl.create_default_context(cafile=str(certificate / "cert.pem"))
    with smtplib.SMTP_SSL(place.hostname, place.port, timeout=PATIENCE_SECONDS, context=context) as client:
        client.send_message(_mail("secure"))
    assert place.scheme == "smtps"
    assert mailbox.summary()["mails"] == 1
