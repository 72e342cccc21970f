"""What the internal events have of a person: boxes and pseudonyms. Compiled from the policy, and changed there."""

from __future__ import annotations

from datetime import datetime

from shared.contracts.frozen import SealedBox, Word


class PersonalOrderEvent(Word):
    """What `OrderEvent` has of a person."""

    shop: str
    order_number: str


class PersonalPersonEvent(Word):
    """What `PersonEvent` has of a person."""

    shop: str
    customer_id: str


class PersonalOrderLine(Word):
    """What `OrderLine` has of a person."""

    line: int
    sku: str
    title: str
    department: str
    quantity: int


class PersonalPricedLine(Word):
    """What `PricedLine` has of a person."""

    line: int
    title: str
    quantity: int
    unit_price: str


class PersonalPaymentReference(Word):
    """What `PaymentReference` has of a person."""

    reference: str


class PersonalRecipientEntrusted(Word):
    """What `RecipientEntrusted` has of a person."""

    customer_id: str
    placed_at: datetime
    recipient: SealedBox


class PersonalContactEntrusted(Word):
    """What `ContactEntrusted` has of a person."""

    customer_id: str
    placed_at: datetime
    currency: str
    discount: str
    shipping_price: str
    tax: str
    total: str
    contact: SealedBox


class PersonalBillingEntrusted(Word):
    """What `BillingEntrusted` has of a person."""

    customer_id: str
    placed_at: datetime
    currency: str
    total: str
    billing: SealedBox | None = None


class PersonalPaymentAuthorised(Word):
    """What `PaymentAuthorised` has of a person."""

    currency: str
    amount: str


class PersonalPaymentCaptured(Word):
    """What `PaymentCaptured` has of a person."""

    currency: str
    amount: str


class PersonalPickListIssued(Word):
    """What `PickListIssued` has of a person."""

    pick_list: str


class PersonalParcelPacked(Word):
    """What `ParcelPacked` has of a person."""

    parcel: str


class PersonalLabelCreated(Word):
    """What `LabelCreated` has of a person."""

    parcel: str
    tracking_number: str


class PersonalShipmentDispatched(Word):
    """What `ShipmentDispatched` has of a person."""

    parcel: str
    tracking_number: str
    tracking_url: str | None = None


class PersonalShipmentDelivered(Word):
    """What `ShipmentDelivered` has of a person."""

    parcel: str


class PersonalCorrectedOrder(Word):
    """What `CorrectedOrder` has of a person."""

    order_number: str


class PersonalPartCorrection(Word):
    """What `PartCorrection` has of a person."""

    bound_to: str


class PersonalPreferencesNoted(Word):
    """What `PreferencesNoted` has of a person."""

    communication: str | None = None
    policy_choice: str | None = None


class PersonalRequestReceipted(Word):
    """What `RequestReceipted` has of a person."""

    shop: str


class PersonalDataPieceSealed(Word):
    """What `DataPieceSealed` has of a person."""

    shop: str


class PersonalFriendEntrusted(Word):
    """What `FriendEntrusted` has of a person."""

    shop: str
    customer_id: str
    referral: str
    friend: SealedBox


class PersonalRequestEntrusted(Word):
    """What `RequestEntrusted` has of a person."""

    shop: str
    customer_id: str
    request_id: str
    request: SealedBox


class PersonalFriendInvited(Word):
    """What `FriendInvited` has of a person."""

    shop: str
    referral: str


class PersonalSpecialRequestAnswered(Word):
    """What `SpecialRequestAnswered` has of a person."""

    shop: str
    request_id: str


class PersonalRecipientCorrected(Word):
    """What `RecipientCorrected` has of a person."""

    recipient: SealedBox


class PersonalContactCorrected(Word):
    """What `ContactCorrected` has of a person."""

    contact: SealedBox


class PersonalBillingCorrected(Word):
    """What `BillingCorrected` has of a person."""

    billing: SealedBox
