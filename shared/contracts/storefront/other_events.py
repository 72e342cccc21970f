"""The storefront's other ten events: what each holds besides its personal parts.

Members that belong to a person are not written here: they are compiled from the policy.
"""

from __future__ import annotations

from typing import Annotated, Literal

from shared.contracts.storefront.forms import Form, NotEmpty, ReplyKey, Several, Title, Url
from shared.contracts.storefront.orders import Payment
from shared.contracts.storefront.personal import (
    PersonalCustomerCorrected,
    PersonalCustomerDataRequested,
    PersonalCustomerDeactivated,
    PersonalCustomerErasureRequested,
    PersonalFriendReferred,
    PersonalOrderCancellationRequested,
    PersonalPaymentReplaced,
    PersonalPreferencesChanged,
    PersonalReturnedLine,
    PersonalReturnRequested,
    PersonalSpecialRequestSubmitted,
)


class OrderCancellationRequested(PersonalOrderCancellationRequested):
    """Somebody wants the order cancelled."""

    reason: Literal["buyer", "fraud", "stock", "other"]


class PaymentReplaced(PersonalPaymentReplaced):
    """A new payment for an order whose first one came to nothing."""

    payment: Payment


class ReturnedLine(PersonalReturnedLine):
    """How many pieces of one line come back."""


class ReturnRequested(PersonalReturnRequested):
    """The buyer wants to send lines of an order back."""

    lines: Annotated[Several[ReturnedLine], NotEmpty]
    reason: Literal["unwanted", "wrong", "damaged", "lost"]


class CustomerCorrected(PersonalCustomerCorrected):
    """Sound parts in the place of what the services hold for a person's open orders, or for one of them."""


class CustomerDeactivated(PersonalCustomerDeactivated):
    """The member left: nothing but what open orders still need."""


class CustomerErasureRequested(PersonalCustomerErasureRequested):
    """The member wants everything personal erased."""


class CustomerDataRequested(PersonalCustomerDataRequested):
    """The member wants a copy of what is held, sealed to a key of the storefront's."""

    reply_key: ReplyKey


class PreferencesChanged(PersonalPreferencesChanged):
    """What the member wants to hear, and whether the member agrees to a new policy."""


class Item(Form):
    """An article of the catalogue that is shown to a friend."""

    title: Title
    url: Url


class FriendReferred(PersonalFriendReferred):
    """A member recommends an article to a friend."""

    item: Item


class SpecialRequestSubmitted(PersonalSpecialRequestSubmitted):
    """A member asks the staff for something the catalogue does not have."""
