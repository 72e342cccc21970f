"""The storefront's personal parts, and what its events have of a person. Compiled from the policy, and changed there."""

from __future__ import annotations

from typing import Annotated, Final

from shared.contracts.storefront.forms import (
    AddressLine,
    Amount,
    Communication,
    Country,
    Currency,
    Department,
    Email,
    EngravedText,
    Form,
    GiftMessage,
    Id,
    Language,
    LineNumber,
    Name,
    NotNull,
    OrderNumber,
    Phone,
    PolicyChoice,
    PolicyVersion,
    PostalCode,
    Quantity,
    RequestText,
    Several,
    Sku,
    TaxId,
    Time,
    Title,
)


class Address(Form):
    """A postal address; which of its members a country needs is the carrier's and the payment provider's affair."""

    line1: AddressLine
    line2: Annotated[AddressLine | None, NotNull] = None
    city: AddressLine
    region: Annotated[AddressLine | None, NotNull] = None
    postal_code: Annotated[PostalCode | None, NotNull] = None
    country: Country


class Personalisation(Form):
    """What is engraved or printed on one line's article."""

    line: LineNumber
    text: EngravedText


class Recipient(Form):
    """Who gets the parcel, where, and what is engraved or written for them."""

    name: Name
    address: Address
    personalisation: Several[Personalisation] = ()
    gift_message: Annotated[GiftMessage | None, NotNull] = None


class Contact(Form):
    """Who is told about the order."""

    name: Name
    email: Email
    phone: Annotated[Phone | None, NotNull] = None
    language: Language = "en"


class Billing(Form):
    """Who pays, where the provider asks for it."""

    given_name: Name
    family_name: Name
    email: Email
    address: Address
    tax_id: Annotated[TaxId | None, NotNull] = None


class Friend(Form):
    """Whom a member recommends an article to."""

    email: Email
    name: Name


class Request(Form):
    """What a member asks the staff for."""

    text: RequestText
    name: Name
    email: Email


class PersonalOrderPlaced(Form):
    """What `OrderPlaced` has of a person."""

    order_number: OrderNumber
    customer_id: Id
    placed_at: Time
    currency: Currency
    discount: Amount
    shipping_price: Amount
    tax: Amount
    total: Amount


class PersonalLine(Form):
    """What `Line` has of a person."""

    line: LineNumber
    sku: Sku
    title: Title
    department: Department
    quantity: Quantity
    unit_price: Amount


class PersonalPayment(Form):
    """What `Payment` has of a person."""

    reference: Id


class PersonalOrderCancellationRequested(Form):
    """What `OrderCancellationRequested` has of a person."""

    order_number: OrderNumber


class PersonalPaymentReplaced(Form):
    """What `PaymentReplaced` has of a person."""

    order_number: OrderNumber


class PersonalReturnedLine(Form):
    """What `ReturnedLine` has of a person."""

    line: LineNumber
    quantity: Quantity


class PersonalReturnRequested(Form):
    """What `ReturnRequested` has of a person."""

    order_number: OrderNumber


class PersonalCustomerCorrected(Form):
    """What `CustomerCorrected` has of a person."""

    customer_id: Id
    order_number: Annotated[OrderNumber | None, NotNull] = None


class PersonalCustomerDeactivated(Form):
    """What `CustomerDeactivated` has of a person."""

    customer_id: Id


class PersonalCustomerErasureRequested(Form):
    """What `CustomerErasureRequested` has of a person."""

    customer_id: Id
    request_id: Id


class PersonalCustomerDataRequested(Form):
    """What `CustomerDataRequested` has of a person."""

    customer_id: Id
    request_id: Id


class PersonalPreferencesChanged(Form):
    """What `PreferencesChanged` has of a person."""

    customer_id: Id
    communication: Annotated[Communication | None, NotNull] = None
    policy_choice: Annotated[PolicyChoice | None, NotNull] = None
    policy_version: Annotated[PolicyVersion | None, NotNull] = None


class PersonalFriendReferred(Form):
    """What `FriendReferred` has of a person."""

    customer_id: Id


class PersonalSpecialRequestSubmitted(Form):
    """What `SpecialRequestSubmitted` has of a person."""

    customer_id: Id
    request_id: Id


ClearPart = Recipient | Contact | Billing | Friend | Request

PART_FORMS: Final[dict[str, type[ClearPart]]] = {
    "recipient": Recipient,
    "contact": Contact,
    "billing": Billing,
    "friend": Friend,
    "request": Request,
}
"""The personal parts and their forms."""

PART_SERVICES: Final[dict[str, str]] = {
    "recipient": "shipping",
    "contact": "notifications",
    "billing": "payments",
    "friend": "notifications",
    "request": "notifications",
}
"""The one service that each part is for."""

PARTS_OF_EVENT: Final[dict[str, tuple[str, ...]]] = {
    "order_placed": ("recipient", "contact", "billing"),
    "customer_corrected": ("recipient", "contact", "billing"),
    "payment_replaced": ("billing",),
    "friend_referred": ("friend",),
    "special_request_submitted": ("request",),
}
"""The parts that an event may have, by its type."""

PARTS_NEEDED: Final[dict[str, tuple[str, ...]]] = {
    "order_placed": ("recipient", "contact"),
    "friend_referred": ("friend",),
    "special_request_submitted": ("request",),
}
"""Those of them without which it is not taken."""
