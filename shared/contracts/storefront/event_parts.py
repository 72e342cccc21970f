"""The personal parts of an arriving event: sealed for the right service under a known key, or in the clear where allowed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from shared.contracts.errors import Fault
from shared.contracts.storefront import grammars
from shared.contracts.storefront.parts import SealedPart, card_faults, validate_part
from shared.contracts.storefront.personal import PART_SERVICES, ClearPart
from shared.contracts.storefront.refusals import unknown_member_pointer
from shared.contracts.storefront.rules import IntakeRules

_SEALED_MEMBERS: Final = ("sealed_for", "key_id", "box")


@dataclass(slots=True)
class PartsReader:
    """Reads the parts of one event. `lines` are the order's as they came, where the event has them."""

    rules: IntakeRules
    at: datetime
    over_amqp: bool
    lines: object = None

    def read(self, part: str, sent: object) -> tuple[SealedPart | ClearPart | None, list[Fault]]:
        """The part as it came where nothing is wrong with it, else every fault. Never raises."""
        root = f"/data/{part}"
        if not isinstance(sent, dict):
            return None, [Fault("wrong_type", root)]
        if is_sealed(sent):
            return self._read_sealed(part, sent, root)
        if self._clear_is_refused():
            return None, [Fault("part_in_clear", root)]
        return validate_part(part, sent, root=root, line_numbers=_line_numbers(self.lines))

    def look_before_dropping(self, part: str, sent: object) -> list[Fault]:
        """What is wrong even with a part that nobody needs: it is no object, in the clear over AMQP, or holds a card number."""
        root = f"/data/{part}"
        if not isinstance(sent, dict):
            return [Fault("wrong_type", root)]
        if is_sealed(sent):
            return []
        return [Fault("part_in_clear", root)] if self._clear_is_refused() else card_faults(sent, root)

    def _clear_is_refused(self) -> bool:
        return self.over_amqp and not self.rules.accept_clear_parts

    def _read_sealed(self, part: str, sent: dict[str, Any], root: str) -> tuple[SealedPart | None, list[Fault]]:
        """The sound part first and fast: nearly every part is one, and only the other needs its faults named."""
        service, key_id, box = PART_SERVICES[part], sent.get("key_id"), sent.get("box")
        if len(sent) == 3 and sent.get("sealed_for") == service and isinstance(key_id, str) and isinstance(box, str):
            expires_at = self.rules.intake_keys.get((service, key_id))
            if expires_at is not None and expires_at > self.at and _is_box(box):
                return SealedPart(service, key_id, box), []
        return None, self._sealed_faults(service, sent, root)

    def _sealed_faults(self, service: str, sent: dict[str, Any], root: str) -> list[Fault]:
        faults = [
            Fault("unknown_member", unknown_member_pointer(root, member)) for member in sent if member not in _SEALED_MEMBERS
        ]
        sealed_for, key_id, box = (_text(sent, member, root, faults) for member in _SEALED_MEMBERS)
        if sealed_for is not None and sealed_for != service:
            faults.append(Fault("sealed_for_wrong_service", f"{root}/sealed_for"))
        if key_id is not None:
            # Where the service is the wrong one, its own key is judged: that is the key the sender used.
            expires_at = self.rules.intake_keys.get((service if sealed_for is None else sealed_for, key_id))
            if expires_at is None:
                faults.append(Fault("key_unknown", f"{root}/key_id"))
            elif expires_at <= self.at:
                faults.append(Fault("key_expired", f"{root}/key_id"))
        if box is not None and not _is_box(box):
            faults.append(Fault("box_malformed", f"{root}/box"))
        return faults


def _is_box(text: str) -> bool:
    sealed = grammars.read_base64(text)
    return sealed is not None and len(sealed) >= grammars.SEALED_BOX_OVERHEAD_BYTES


def is_sealed(sent: dict[str, Any]) -> bool:
    """Whether a part means to be sealed: it has one of a sealed part's members, none of which a part in the clear has."""
    return not sent.keys().isdisjoint(_SEALED_MEMBERS)


def _line_numbers(lines: object) -> frozenset[int] | None:
    """The order's line numbers, for the personalisation of a recipient in the clear; None where they cannot be known."""
    if not isinstance(lines, list):
        return None
    numbers = [line.get("line") if isinstance(line, dict) else None for line in lines]
    known = frozenset(number for number in numbers if type(number) is int)
    return known if len(known) == len(numbers) else None


def _text(sent: dict[str, Any], member: str, root: str, faults: list[Fault]) -> str | None:
    value = sent.get(member)
    if isinstance(value, str):
        return value
    faults.append(Fault("wrong_type" if member in sent else "missing", f"{root}/{member}"))
    return None
