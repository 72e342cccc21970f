"""The certificate of an erasure: what was done by whom, and from when on nobody can read what still lies somewhere.

It is made of the holders' signed receipts and signed by orders. It is read back without asking anybody: from its
own text, the policy, and public keys that were kept elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from shared.contracts.person_events import SignedReceipt
from shared.custody.receipts import ReceiptUnsigned, Signer, canonical, read_receipt
from shared.policy import Policy
from shared.policy.holders import ERASURE, answering, freezing

Keys = Sequence[Mapping[str, str]]
CERTIFIER, CERTIFIED = "orders", "certified"
NO_TRUSTED_KEYS = "no trusted keys were given, and its own say nothing of who signed it"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a certificate says, and everything that is wrong with it; it proves nothing unless `faults` is empty."""

    faults: tuple[str, ...]
    request: str = ""
    holders: tuple[str, ...] = ()
    erased_at: datetime | None = None
    unreadable_by_us_since: datetime | None = None
    unreadable_by_anybody_from: datetime | None = None


def certify(told: Mapping[str, Any], frozen: Sequence[Any], erased: Sequence[Any], keys: Keys, signer: Signer) -> dict[str, Any]:
    """The signed certificate. `told` names request, shop, policy version, holders and times; the rest are signed receipts as JSON."""
    dates = _dates([read_receipt(SignedReceipt(**one), _key(keys, one)) for one in erased])
    whole = {**told, **dates, "frozen": list(frozen), "receipts": list(erased), "keys": list(keys)}
    return {"signed": signer.sign({"deed": CERTIFIED, "certificate": canonical(whole)}).model_dump(), **dates}


def prove(certificate: Mapping[str, Any], policies: Mapping[str, Policy], trusted: Keys | None) -> Proof:
    """Check signatures, the set of holders against the policy, what each holder has left, and the dates. Does no I/O.

    `policies` are all versions that there are: one that was made under an earlier version is held against that.

    `trusted` are public keys that came another way than with the certificate. Whoever makes a certificate up puts keys in that fit: without
    trusted ones it is read by its own, to name what else is wrong, and is never proved.
    """
    try:
        outer = SignedReceipt(**certificate["signed"])
        told = orjson.loads(outer.receipt)
        whole = orjson.loads(told["certificate"])
        keys: Keys = whole["keys"] if trusted is None else trusted
        faults = [NO_TRUSTED_KEYS] if trusted is None else []
        if outer.service != CERTIFIER or not _is_signed(outer, keys):
            faults.append("the signature of orders is not right")
        if told["deed"] != CERTIFIED:
            faults.append("it was signed as something else")
        faults += _faults(whole, policies, keys)
        named = (whole["request"], tuple(sorted(whole["holders"])))
        dates = [
            datetime.fromisoformat(whole[name]) for name in ("erased_at", "unreadable_by_us_since", "unreadable_by_anybody_from")
        ]
    except (KeyError, TypeError, ValueError, AttributeError):
        return Proof(("the certificate is not whole",))
    return Proof(tuple(faults), *named, *dates)


def _faults(whole: Mapping[str, Any], policies: Mapping[str, Policy], keys: Keys) -> list[str]:
    policy = policies.get(whole["policy_version"])
    if policy is None:
        return [f"it was made under policy {whole['policy_version']}, which is not known here"]
    faults: list[str] = []
    expected = answering(policy, ERASURE)
    if whole["kind"] != ERASURE or whole["holders"] != expected:
        faults.append("its holders are not those that the policy names")
    erased = _by_service(whole["receipts"], "erased", whole, keys, faults)
    frozen = _by_service(whole["frozen"], "deactivated", whole, keys, faults)
    faults += [f"{service}: no receipt of its erasure" for service in expected if service not in erased]
    faults += [
        f"{service}: no receipt that the person was frozen first" for service in freezing(expected) if service not in frozen
    ]
    faults += [f"{service}: a receipt of one that is no holder" for service in sorted({*erased, *frozen} - {*expected})]
    for service, receipt in sorted(erased.items()):
        if not _is_nothing_left(receipt):
            faults.append(f"{service}: something was left")
        if service in frozen and _time(receipt["at"]) < _time(frozen[service]["at"]):
            faults.append(f"{service}: it was erased before it was frozen")
    return faults + _faults_of_dates(whole, erased, freezing(expected))


def _is_nothing_left(receipt: Mapping[str, Any]) -> bool:
    """Whether the receipt says so: a receipt that does not speak of keys and rows has not said it."""
    keys_left, rows_after = receipt.get("keys_left"), receipt.get("rows_after")
    if keys_left is None or not isinstance(rows_after, dict) or not rows_after:
        return False
    return all(type(number) is int and number == 0 for number in (keys_left, *rows_after.values()))


def _faults_of_dates(whole: Mapping[str, Any], erased: Mapping[str, Mapping[str, Any]], with_keys: Sequence[str]) -> list[str]:
    """`with_keys` are the holders that have keys, and so backups of them: each must say when the last one is gone."""
    silent = [service for service in with_keys if service in erased and "last_backup_gone_at" not in erased[service]]
    faults = [f"{service}: it does not say until when a backup may hold a key" for service in silent]
    of_receipts = {**_dates(list(erased.values())), "erased_at": erased[CERTIFIER]["at"]} if CERTIFIER in erased else {}
    if of_receipts and {name: whole[name] for name in of_receipts} != of_receipts:
        faults.append("its dates are not those of its receipts")
    if _time(whole["erased_at"]) < _time(whole["received_at"]):
        faults.append("it was erased before it was asked for")
    return faults


def _by_service(
    signed: Sequence[Mapping[str, str]], deed: str, whole: Mapping[str, Any], keys: Keys, faults: list[str]
) -> dict[str, dict[str, Any]]:
    """Service → its receipt, of those that are signed by that service's own key and about this very request."""
    found: dict[str, dict[str, Any]] = {}
    for one in signed:
        receipt = SignedReceipt(**one)
        if not _is_signed(receipt, keys):
            faults.append(f"{receipt.service}: the signature is not right")
            continue
        told = read_receipt(receipt, _key(keys, one))
        if (told["deed"], *(told[name] for name in ("shop", "kind", "request"))) != (
            deed,
            *(whole[name] for name in ("shop", "kind", "request")),
        ):
            faults.append(f"{receipt.service}: a receipt of something else")
            continue
        if receipt.service in found:
            faults.append(f"{receipt.service}: two receipts of one deed")
        found[receipt.service] = told
    return found


def _dates(receipts: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """By us from the last deed on; by anybody when the last key and the last backup of one are gone."""
    last = max((receipt["at"] for receipt in receipts), key=_time)
    return {
        "unreadable_by_us_since": last,
        "unreadable_by_anybody_from": max((receipt.get("last_backup_gone_at", last) for receipt in receipts), key=_time),
    }


def _time(text: str) -> datetime:
    # As text a whole second would come behind its own parts.
    return datetime.fromisoformat(text)


def _is_signed(receipt: SignedReceipt, keys: Keys) -> bool:
    try:
        read_receipt(receipt, _key(keys, receipt.model_dump()))
    except (ReceiptUnsigned, StopIteration):
        return False
    return True


def _key(keys: Keys, signed: Mapping[str, str]) -> str:
    return next(key["public_key"] for key in keys if (key["service"], key["key_id"]) == (signed["service"], signed["key_id"]))
