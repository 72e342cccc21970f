"""What a running stack was told, against the policy: under which version orders are taken, and that no plain line leaves the machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from shared.lines import is_protected
from shared.policy.document import Policy
from shared.policy.server_rules import Difference, guard_clauses

_ADDRESSES: Final = (
    *("ADMIN_AMQP_URI", "ADMIN_POSTGRES_URL", "ADMIN_KEYRING_POSTGRES_URL", "STOREFRONT_AMQP_URI", "CARRIER_WEBHOOK_URL"),
    *("PAYPAL_BASE_URL", "TWOCHECKOUT_BASE_URL", "TWOCHECKOUT_IDN_URL", "CARRIER_BASE_URL", "SMTP_URL"),
)


def settings_differences(policy: Policy, settings: Mapping[str, str]) -> Iterator[Difference]:
    """Each setting that breaks a clause; addresses are named by their setting, never shown: they hold credentials."""
    taken = settings.get("POLICY_VERSIONS", "")
    if taken != policy.version:
        yield Difference(
            ("setting", "POLICY_VERSIONS"),
            f"it is {taken or 'nothing'} and should be {policy.version}",
            guard_clauses(policy, "versions"),
        )
    for name in addresses_of(policy):
        if name in settings and not is_protected(settings[name]):
            yield Difference(("setting", name), "a plain connection that leaves the machine", guard_clauses(policy, "lines"))


def addresses_of(policy: Policy) -> tuple[str, ...]:
    """The settings of a stack that are addresses: of its servers, its doors and the outside parties."""
    own = [
        f"{service.upper()}_{what}"
        for service in policy.services
        for what in ("AMQP_URI", "DATABASE_URL", "KEYRING_DATABASE_URL", "HTTP_URL")
    ]
    return (*_ADDRESSES, *own)
