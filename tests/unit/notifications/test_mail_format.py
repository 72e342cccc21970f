"""A mail's body on the wire: what is plain lines of ASCII goes as it is, all else encoded, and either way the same arrives."""

from __future__ import annotations

from email import message_from_bytes, policy

import pytest

from services.notifications.mail_format import assemble, assemble_plain

AS_IT_IS = [
    "Good day.\n\nYour parcel has left.\n",
    "x" * 998,
    "",
    "a.\n.\n..b\n",
    "=3D and =\n",
    "--signed",
    "-- =_brown",
]
ENCODED = {
    "not ASCII": "Zoë\n",
    "a line too long": "x" * 999,
    "a control": "a\x0bb",
    "a tab": "a\tb",
    "a NUL": "a\x00b",
    "a bare CR": "a\rb",
    "blanks at the end of a line": "a \nb",
    "blanks at the end": "a ",
    "like a mail in a file of mails": "From me\n",
    "like one further down": "a\nFrom me\n",
    "the boundary": "a\n--=_brown_paper\nb",
    "the last boundary": "a --=_brown_paper-- b",
}


def found(text: str, html: str) -> tuple[list[str], list[str]]:
    """The bodies, and how each was encoded."""
    message = message_from_bytes(assemble(["Subject: x"], text, html, "en"), policy=policy.default)
    assert not message.defects
    parts = list(message.iter_parts())  # type: ignore[attr-defined]
    assert not any(part.defects for part in parts)
    contents = [part.get_payload(decode=True).decode().replace("\r\n", "\n") for part in parts]
    return contents, [part["Content-Transfer-Encoding"] for part in parts]


@pytest.mark.parametrize("body", AS_IT_IS)
def test_plain_lines_go_as_they_are(body: str) -> None:
    assert found(body, "<p>x</p>") == ([body, "<p>x</p>"], ["7bit", "7bit"])


@pytest.mark.parametrize("body", ENCODED.values(), ids=ENCODED)
def test_what_a_server_could_change_or_take_for_an_end_is_encoded(body: str) -> None:
    contents, encodings = found("plain", body)
    assert contents == ["plain", body]
    assert encodings[1] in ("quoted-printable", "base64")
    wire = assemble(["Subject: x"], "plain", body, "en")
    assert wire.count(b"--=_brown_paper") == 3, "two parts and an end"
    assert max(map(len, wire.splitlines())) <= 998


def test_a_text_alone_goes_as_it_is_too() -> None:
    message = message_from_bytes(assemble_plain(["Subject: x"], "a\nb", "en"), policy=policy.default)
    assert message["Content-Transfer-Encoding"] == "7bit"
    assert message.get_payload(decode=True) == b"a\r\nb\r\n"
