"""The buyer's side of paying, played where the payment sandbox is ours: an order created and approved, or a one-time token."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from shared.cli.doors import Door
from shared.cli.order_sets.wording import UNAPPROVED
from shared.cli.terminal import Misused, NotDone


class Approvals:
    """Makes the payments of orders just before they are published (a 2Checkout token lives ten minutes)."""

    def __init__(self, paypal: Door | None, twocheckout: Door | None) -> None:
        self._paypal = paypal
        self._twocheckout = twocheckout

    def approve(self, orders: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The same orders' `data`, each with the reference of a payment that its buyer approved.

        Where the provider's sandbox is not ours, the payment that the data names stands; raises Misused if it names none, and
        NotDone if the sandbox gives fewer than asked. A repeat makes further payments; those before stay unused.
        """
        paypal = [order for order in orders if _provider(order) == "paypal" and _payable(order)]
        twocheckout = [order for order in orders if _provider(order) == "2checkout"]
        references: dict[int, str] = {}
        if self._paypal and paypal:
            wishes = [
                {"reference_id": str(order["order_number"]), "amount": order["total"], "currency": order["currency"]}
                for order in paypal
            ]
            made = self._paypal.post_json("/_sandbox/orders", wishes).get("orders")
            references |= _matched(paypal, [order["id"] for order in made or ()])
        if self._twocheckout and twocheckout:
            answer = self._twocheckout.post_json("/_sandbox/tokens", {"count": len(twocheckout)})
            references |= _matched(twocheckout, answer.get("tokens"))
        return [self._with(order, references.get(id(order))) for order in orders]

    def _with(self, order: dict[str, Any], reference: str | None) -> dict[str, Any]:
        payment = order.get("payment")
        if reference is not None and isinstance(payment, dict):
            return {**order, "payment": {**payment, "reference": reference}}
        if isinstance(payment, dict) and payment.get("reference") == UNAPPROVED and _payable(order):
            raise Misused(
                f"The orders of this set have no payment, and no sandbox of ours makes one for {payment.get('provider')}: "
                "set PAYPAL_SANDBOX_URL and TWOCHECKOUT_SANDBOX_URL, or publish a file whose payments are approved."
            )
        return order


def _provider(order: dict[str, Any]) -> object:
    payment = order.get("payment")
    return payment.get("provider") if isinstance(payment, dict) else None


def _payable(order: dict[str, Any]) -> bool:
    """Whether a provider takes such an amount at all; nobody approves a payment of zero."""
    return any(digit in "123456789" for digit in str(order.get("total", "")))


def _matched(orders: Sequence[dict[str, Any]], references: object) -> dict[int, str]:
    if not isinstance(references, list) or len(references) != len(orders):
        raise NotDone("A payment sandbox gave another number of payments than were asked for.")
    return {id(order): str(reference) for order, reference in zip(orders, references, strict=True)}
