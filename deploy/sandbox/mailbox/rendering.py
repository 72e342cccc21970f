"""A mail's HTML and text as files of their own, so that a person can open them."""

from __future__ import annotations

from email import message_from_bytes
from email.message import Message
from html import escape

_KINDS = {"text/html": "html", "text/plain": "txt"}


def render(mail: bytes) -> dict[str, bytes]:
    """The first HTML and the first plain part of a mail as UTF-8, by file extension (`html`, `txt`)."""
    rendered: dict[str, bytes] = {}
    for part in message_from_bytes(mail).walk():
        extension = _KINDS.get(part.get_content_type())
        if extension is not None and extension not in rendered:
            text = _text_of(part)
            if extension == "html" and "charset" not in text[:1024].lower():
                text = '<meta charset="utf-8">\n' + text
            rendered[extension] = text.encode("utf-8", "replace")
    return rendered


def as_page(mail: bytes) -> bytes:
    """The mail as one HTML page: its HTML part, or else its text as it stands."""
    rendered = render(mail)
    if "html" in rendered:
        return rendered["html"]
    text = rendered.get("txt", mail).decode("utf-8", "replace")
    return f'<meta charset="utf-8"><pre>{escape(text)}</pre>'.encode()


def _text_of(part: Message) -> str:
    payload = part.get_payload(decode=True)
    if not isinstance(payload, bytes):
        return ""
    try:
        return payload.decode(part.get_content_charset("utf-8"), "replace")
    except LookupError:
        return payload.decode("utf-8", "replace")
