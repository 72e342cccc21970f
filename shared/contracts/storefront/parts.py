"""The personal parts of the storefront's events: each for one service alone, sealed or in the clear. Their forms are the policy's.

Limits that the contract does not set are ours, wide enough for any order met in practice: `city` and `region` 1 to 200
characters, `postal_code`, `phone` and `tax_id` 1 to 40, `language` up to 64, `gift_message` up to 5,000, up to 2,000
personalisations with a `text` of up to 1,000, a special request's `text` 1 to 5,000. One line may be named by several
personalisations (two engravings).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import ValidationError

from shared.contracts.errors import Fault
from shared.contracts.storefront.card_numbers import holds_card_number
from shared.contracts.storefront.forms import MAX_TEXT_CHARACTERS, form_faults, free_texts
from shared.contracts.storefront.personal import PART_FORMS, ClearPart


@dataclass(frozen=True, slots=True)
class SealedPart:
    """A part as it came, sealed: for which service, with which of its keys, and the box in base64."""

    sealed_for: str
    key_id: str
    box: str = field(repr=False)

    def as_dict(self) -> dict[str, str]:
        return {"sealed_for": self.sealed_for, "key_id": self.key_id, "box": self.box}


# 2Checkout's own rule for a billing address, as the contract takes it over.
_COUNTRIES_WITH_REGION: Final = frozenset({"US", "TR", "IN", "RO"})
_COUNTRIES_WITH_TAX_ID: Final = frozenset({"BR"})


def validate_part(
    part: str, sent: object, *, root: str = "", line_numbers: Collection[int] | None = None
) -> tuple[ClearPart | None, list[Fault]]:
    """Hold a part in the clear against its form: the part where nothing is wrong with it, else every fault. Never raises.

    `root` is the pointer that the faults' pointers start with; `line_numbers` are the order's, where they are known.
    """
    model: ClearPart | None = None
    faults: list[Fault] = []
    try:
        model = PART_FORMS[part].model_validate(sent)
    except ValidationError as error:
        faults = form_faults(error, sent, root)
    faults += card_faults(sent, root)
    if isinstance(sent, dict):
        if part == "recipient" and line_numbers is not None:
            faults += _unknown_lines(sent.get("personalisation"), line_numbers, root)
        if part == "billing":
            faults += _billing_faults(sent, root)
    return (None if faults else model), faults


def card_faults(sent: object, root: str) -> list[Fault]:
    """A fault for every free text in what was sent that holds what looks like a card number.

    A text beyond every limit is refused for its length already; searching half a megabyte would take a second.
    """
    return [
        Fault("card_number", pointer)
        for pointer, text in free_texts(sent, root)
        if len(text) <= MAX_TEXT_CHARACTERS and holds_card_number(text)
    ]


def _unknown_lines(personalisation: Any, line_numbers: Collection[int], root: str) -> list[Fault]:
    if not isinstance(personalisation, list):
        return []
    return [
        Fault("line_unknown", f"{root}/personalisation/{index}/line")
        for index, item in enumerate(personalisation)
        if isinstance(item, dict) and type(item.get("line")) is int and item["line"] not in line_numbers
    ]


def _billing_faults(sent: dict[str, Any], root: str) -> list[Fault]:
    """What 2Checkout needs of a billing address by its country: a postal code always, a region or a tax id in some."""
    address = sent.get("address")
    if not isinstance(address, dict):
        return []
    country = address.get("country")
    country = country if isinstance(country, str) else ""
    faults = []
    if "postal_code" not in address:
        faults.append(Fault("postal_code_missing", f"{root}/address/postal_code"))
    if country in _COUNTRIES_WITH_REGION and "region" not in address:
        faults.append(Fault("region_missing", f"{root}/address/region"))
    if country in _COUNTRIES_WITH_TAX_ID and "tax_id" not in sent:
        faults.append(Fault("tax_id_missing", f"{root}/tax_id"))
    return faults
