"""The storefront's other ten events: what each holds besides its personal parts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from shared.contracts.storefront.forms import (
    MAX_LINES,
    Form,
    Id,
    LineNumber,
    NotEmpty,
    NotNull,
    NotTooMany,
    OrderNumber,
    PolicyVersion,
    Quantity,
    ReplyKey,
    Title,
    Url,
)
from shared.contracts.storefront.orders import Payment


class OrderCancellationRequested(Form):
    """Somebody wants the order cancelled."""

    order_number: OrderNumber
    reason: Literal["buyer", "fraud", "stock", "other"]


class PaymentReplaced(Form):
    """A new payment for an order whose first one came to nothing."""

    order_number: OrderNumber
    payment: Payment


class ReturnedLine(Form):
    """How many pieces of one line come back."""

    line: LineNumber
    quantity: Quantity


class ReturnRequested(Form):
    """The buyer wants to send lines of an order back."""

    order_number: OrderNumber
    lines: Annotated[tuple[ReturnedLine, ...], Field(strict=False, max_length=MAX_LINES), NotTooMany, NotEmpty]
    reason: Literal["unwanted", "wrong", "damaged", "lost"]


class CustomerCorrected(Form):
    """Sound parts in the place of what the services hold for a person's open orders, or for one of them."""

    customer_id: Id
    order_number: Annotated[OrderNumber | None, NotNull] = None


class CustomerDeactivated(Form):
    """The member left: nothing but what open orders still need."""

    customer_id: Id


class CustomerErasureRequested(Form):
    """The member wants everything personal erased."""

    customer_id: Id
    request_id: Id


class CustomerDataRequested(Form):
    """The member wants a copy of what is held, sealed to a key of the storefront's."""

    customer_id: Id
    request_id: Id
    reply_key: ReplyKey


class PreferencesChanged(Form):
    """What the member wants to hear, and whether the member agrees to a new policy."""

    customer_id: Id
    communication: Annotated[Literal["all", "service_only", "none"] | None, NotNull] = None
    policy_choice: Annotated[Literal["allow", "disallow"] | None, NotNull] = None
    policy_version: Annotated[PolicyVersion | None, NotNull] = None


class Item(Form):
    """An article of the catalogue that is shown to a friend."""

    title: Title
    url: Url


class FriendReferred(Form):
    """A member recommends an article to a friend."""

    customer_id: Id
    item: Item


class SpecialRequestSubmitted(Form):
    """A member asks the staff for something the catalogue does not have."""

    customer_id: Id
    request_id: Id
