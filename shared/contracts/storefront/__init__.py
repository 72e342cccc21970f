"""The storefront's contract, version 1, as code: what a storefront may send, read and refused in one place.

`read_event` is the way in for both doors of the orders service. The service that opens a sealed part uses `read_part`; the door
that seals a part that came in the clear uses `part_to_json`. `CODES` lists everything that can be wrong.
"""

from shared.contracts.storefront.card_numbers import holds_card_number
from shared.contracts.storefront.forms import KINDS, Form
from shared.contracts.storefront.grammars import read_base64
from shared.contracts.storefront.opened_parts import part_to_json, read_part
from shared.contracts.storefront.orders import Line, OrderPlaced, Payment
from shared.contracts.storefront.other_events import (
    CustomerCorrected,
    CustomerDataRequested,
    CustomerDeactivated,
    CustomerErasureRequested,
    FriendReferred,
    Item,
    OrderCancellationRequested,
    PaymentReplaced,
    PreferencesChanged,
    ReturnedLine,
    ReturnRequested,
    SpecialRequestSubmitted,
)
from shared.contracts.storefront.parts import SealedPart
from shared.contracts.storefront.personal import (
    PART_FORMS,
    PART_SERVICES,
    PARTS_OF_EVENT,
    Address,
    Billing,
    ClearPart,
    Contact,
    Friend,
    Personalisation,
    Recipient,
    Request,
)
from shared.contracts.storefront.reading import EVENT_FORMS, MAX_BODY_BYTES, StorefrontEvent, read_event
from shared.contracts.storefront.refusals import CODES, REJECTIONS, EventRefused, OrderRejected, PartRefused
from shared.contracts.storefront.rules import IntakeRules

__all__ = [
    "CODES",
    "EVENT_FORMS",
    "KINDS",
    "MAX_BODY_BYTES",
    "PARTS_OF_EVENT",
    "PART_FORMS",
    "PART_SERVICES",
    "REJECTIONS",
    "Address",
    "Billing",
    "ClearPart",
    "Contact",
    "CustomerCorrected",
    "CustomerDataRequested",
    "CustomerDeactivated",
    "CustomerErasureRequested",
    "EventRefused",
    "Form",
    "Friend",
    "FriendReferred",
    "IntakeRules",
    "Item",
    "Line",
    "OrderCancellationRequested",
    "OrderPlaced",
    "OrderRejected",
    "PartRefused",
    "Payment",
    "PaymentReplaced",
    "Personalisation",
    "PreferencesChanged",
    "Recipient",
    "Request",
    "ReturnRequested",
    "ReturnedLine",
    "SealedPart",
    "SpecialRequestSubmitted",
    "StorefrontEvent",
    "holds_card_number",
    "part_to_json",
    "read_base64",
    "read_event",
    "read_part",
]
