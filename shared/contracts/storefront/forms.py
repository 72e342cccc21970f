"""What every form of the storefront's contract is built of: one strict model, the kinds of its members, and how a fault of
form becomes a code and a pointer.

A model never shows a value: its errors hide the input, its repr is its name alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final, Literal, TypeVar, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from shared.contracts.errors import Fault
from shared.contracts.storefront import grammars
from shared.contracts.storefront.refusals import CODES, unknown_member_pointer
from shared.contracts.values import CURRENCIES

MAX_LINES: Final = 2_000
MAX_QUANTITY: Final = 99_999
MAX_NAME_CHARACTERS: Final = 200
MAX_TEXT_CHARACTERS: Final = 5_000
MAX_ADDRESS_LINE_CHARACTERS: Final = 200


class Form(BaseModel):
    """A strict, frozen model: no unknown member, no conversion between JSON's types, and no value in any error or repr."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, hide_input_in_errors=True)

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        return ()

    def __str__(self) -> str:
        return repr(self)


def _not_null(value: object) -> object:
    """Refuse null: a member that may be left out is left out, so that there is one way to say so."""
    if value is None:
        raise PydanticCustomError("wrong_type", "null")
    return value


def _known_currency(code: str) -> str:
    if code not in CURRENCIES:
        raise PydanticCustomError("currency_unknown", "currency_unknown")
    return code


def _known_country(code: str) -> str:
    if code not in grammars.COUNTRIES:
        raise PydanticCustomError("country_unknown", "country_unknown")
    return code


def _email(text: str) -> str:
    if not grammars.is_email(text):
        raise PydanticCustomError("email_malformed", "email_malformed")
    return text


def _language(text: str) -> str:
    if not grammars.is_language_tag(text):
        raise PydanticCustomError("language_malformed", "language_malformed")
    return text


def _time(value: object) -> datetime:
    if not isinstance(value, str):
        raise PydanticCustomError("wrong_type", "wrong_type")
    time = grammars.read_time(value)
    if time is None:
        raise PydanticCustomError("time_malformed", "time_malformed")
    return time


def _reply_key(text: str) -> str:
    key = grammars.read_base64(text)
    if key is None or len(key) != grammars.PUBLIC_KEY_BYTES:
        raise PydanticCustomError("reply_key_malformed", "reply_key_malformed")
    return text


def _not_too_many(value: object) -> object:
    """Refuse an over-long list before its items are looked at: a hostile one would have a fault in each of 250,000."""
    if isinstance(value, list) and len(value) > MAX_LINES:
        raise PydanticCustomError("too_long", "too_long")
    return value


def _not_empty(value: object) -> object:
    """Refuse an empty list; pydantic's own bound counts sound items only and would call a list of unsound ones empty."""
    if value == []:
        raise PydanticCustomError("too_short", "too_short")
    return value


_NO_CONTROL = r"^[^\x00-\x1f]*$"
_UNRESERVED = r"^[A-Za-z0-9._~-]*$"
NotNull = BeforeValidator(_not_null)
"""Beside `… | None = None`: the member may be left out, but not sent as null."""
NotTooMany = BeforeValidator(_not_too_many)
"""Beside a list: no more than an order may have lines."""
NotEmpty = BeforeValidator(_not_empty)
"""Beside a list: at least one item."""

Id = Annotated[str, Field(min_length=1, max_length=128, pattern=_UNRESERVED)]
OrderNumber = Annotated[str, Field(min_length=1, max_length=64, pattern=_UNRESERVED)]
ServiceName = OrderNumber
Sku = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._~ /-]*$")]
PolicyVersion = Annotated[str, Field(min_length=1, max_length=64, pattern=_NO_CONTROL)]
Title = Annotated[str, Field(max_length=500, pattern=_NO_CONTROL)]
Department = Annotated[str, Field(max_length=100, pattern=_NO_CONTROL)]
LineNumber = Annotated[int, Field(ge=1, le=MAX_LINES)]
Quantity = Annotated[int, Field(ge=1, le=MAX_QUANTITY)]
Amount = Annotated[str, Field()]
"""A decimal string; what makes it one depends on the order's currency, so the order's own check reads it."""
Currency = Annotated[str, AfterValidator(_known_currency)]
Time = Annotated[datetime, BeforeValidator(_time)]
ReplyKey = Annotated[str, AfterValidator(_reply_key)]
# The contract does not bound an item's address; only the web's own schemes may come to a friend's mailbox, without credentials.
_NOT_IN_URL = r'\x00-\x20\x7f"<>\\^`{|}'
Url = Annotated[
    str,
    Field(max_length=2_000, pattern=rf"^[Hh][Tt][Tt][Pp][Ss]?://[^{_NOT_IN_URL}/?#@]+(?:[/?#][^{_NOT_IN_URL}]*)?$"),
]

Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME_CHARACTERS, pattern=_NO_CONTROL)]
AddressLine = Annotated[str, Field(min_length=1, max_length=MAX_ADDRESS_LINE_CHARACTERS, pattern=_NO_CONTROL)]
PostalCode = Annotated[str, Field(min_length=1, max_length=40, pattern=_NO_CONTROL)]
Country = Annotated[str, AfterValidator(_known_country)]
Email = Annotated[str, AfterValidator(_email)]
Language = Annotated[str, Field(max_length=64), AfterValidator(_language)]
# Any script's digits and dashes with what people write between them, and the words of an extension; at least one digit.
_PHONE_SIGN = r"[\p{Nd}\p{Pd}\p{Zs}A-Za-z+().,/#*;:=_~]"
Phone = Annotated[str, Field(min_length=1, max_length=40, pattern=rf"^{_PHONE_SIGN}*\p{{Nd}}{_PHONE_SIGN}*$")]
TaxId = Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[A-Za-z0-9 ./-]*$")]
EngravedText = Annotated[str, Field(max_length=1_000, pattern=_NO_CONTROL)]
GiftMessage = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS, pattern=r"^[^\x00-\x09\x0b\x0c\x0e-\x1f]*$")]
RequestText = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS, pattern=_NO_CONTROL)]
Communication = Annotated[Literal["all", "service_only", "none"], Field()]
PolicyChoice = Annotated[Literal["allow", "disallow"], Field()]

KINDS: Final = frozenset(name for name, kind in globals().items() if get_origin(kind) is Annotated)
"""The names of all of the above, by which the policy says how a personal member is written."""

_Item = TypeVar("_Item")
Several = Annotated[tuple[_Item, ...], Field(strict=False, max_length=MAX_LINES), NotTooMany]
"""Any number of groups of members, as many as an order may have lines."""

FREE_TEXT_MEMBERS: Final = frozenset(
    {
        "title",
        "department",
        "name",
        "given_name",
        "family_name",
        "line1",
        "line2",
        "city",
        "region",
        "postal_code",
        "text",
        "gift_message",
    }
)
"""The members, wherever they stand, that a person or a catalogue writes freely: these are searched for card numbers."""
_CONTAINERS: Final = ("lines", "item", "address", "personalisation")
_DEPTH: Final = 3

_CODE_OF_TYPE: Final = {
    "missing": "missing",
    "extra_forbidden": "unknown_member",
    "string_too_long": "too_long",
    "string_too_short": "too_short",
    "too_long": "too_long",
    "too_short": "too_short",
    "greater_than_equal": "out_of_range",
    "less_than_equal": "out_of_range",
    "literal_error": "choice_unknown",
}
_TEXT_ONLY_WITHOUT_CONTROL: Final = FREE_TEXT_MEMBERS | {"policy_version"}


def form_faults(error: ValidationError, sent: object, root: str = "") -> list[Fault]:
    """Say what pydantic found in our words. `sent` is asked for the JSON type of a value only; `root` is the pointer to it."""
    found = error.errors(include_input=False, include_url=False, include_context=False)
    return [Fault(_code(detail, sent), _pointer(detail, root)) for detail in found]


def _code(detail: ErrorDetails, sent: object) -> str:
    kind, place = detail["type"], detail["loc"]
    if kind == "string_pattern_mismatch":
        return "control_character" if place[-1] in _TEXT_ONLY_WITHOUT_CONTROL else "grammar"
    if kind == "literal_error" and not isinstance(_at(sent, place), str):
        return "wrong_type"
    return kind if kind in CODES else _CODE_OF_TYPE.get(kind, "wrong_type")


def _pointer(detail: ErrorDetails, root: str) -> str:
    *parents, last = detail["loc"]
    parent = "".join([root, *(f"/{member}" for member in parents)])
    return unknown_member_pointer(parent, last) if detail["type"] == "extra_forbidden" else f"{parent}/{last}"


def _at(sent: Any, place: tuple[int | str, ...]) -> object:
    for step in place:
        sent = sent[step]
    return sent


def free_texts(sent: object, root: str = "", depth: int = _DEPTH) -> Iterable[tuple[str, str]]:
    """Pointer and text of every free text in what was sent, whether or not the rest of it is sound."""
    if not isinstance(sent, dict):
        return
    for member, value in sent.items():
        if isinstance(value, str):
            if member in FREE_TEXT_MEMBERS:
                yield f"{root}/{member}", value
        elif member in _CONTAINERS and depth:
            if isinstance(value, list):
                for index, item in enumerate(value):
                    yield from free_texts(item, f"{root}/{member}/{index}", depth - 1)
            else:
                yield from free_texts(value, f"{root}/{member}", depth - 1)
