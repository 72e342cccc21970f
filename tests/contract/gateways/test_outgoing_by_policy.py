"""Every call that our gateways make, recorded as it left, against the schemas compiled from the privacy policy."""

from __future__ import annotations

import copy
import email
import email.policy
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import jsonschema
import pytest

from services.notifications import circulars
from services.notifications.circulars import Ways
from services.notifications.difficulty_letters import DIFFICULTY_LETTERS
from services.notifications.gate import classes_by_kind
from services.notifications.gateway import Mailbox
from services.notifications.letters import DeliveryMail, Letter, LetterLine, OrderConfirmation, ShipmentMail, Shop, render
from services.notifications.personal_letters import ComplaintAcknowledgement, FriendInvitation, RequestReply
from services.payments.gateway import AuthorisePayment, CapturePayment
from services.payments.gateway.paypal import PayPal
from services.payments.gateway.twocheckout import TwoCheckout, TwoCheckoutAccount
from services.shipping.gateway import BuyLabel, Sender, ShipEngine
from shared.contracts.values import Money
from shared.policy import load
from shared.policy.compile_outgoing import misplaced, name_of, schemas
from tests.contract.gateways.test_mailbox_client import Server

POLICY = load()
SCHEMAS = {name: jsonschema.Draft202012Validator(schema) for name, schema in schemas(POLICY).items()}
AT = datetime(2026, 3, 6, 9, 0, tzinfo=UTC)
SENDER = Sender("Astro Jewelry", "+1 303 555 0100", "1 Market St", "Austin", "TX", "78756", "US", "Astro Jewelry Ltd")
SHOP = Shop("AstroJewelry.com", "orders@astrojewelry.com")
CLASSES = classes_by_kind(POLICY.mails)
ACCOUNT = TwoCheckoutAccount("YOURCODE123", "AABBCCDDEEFF", "https://shop.example/paid", "https://shop.example/basket", "TEST")

# A person of whom every value is nobody else's, so that wherever it turns up it is known for what it is.
PERSON = {
    "recipient.name": "Zquorna Recipientos",
    "recipient.address.line1": "41 Wexbury Lane",
    "recipient.address.line2": "Flat Qv7",
    "recipient.address.city": "Yttrigrad",
    "recipient.address.region": "Vx",
    "recipient.address.postal_code": "QZ77104",
    "recipient.address.country": "AQ",
    "recipient.personalisation.text": "engraved for Wolfwick",
    "recipient.gift_message": "for the long qway",
    "contact.name": "Ybbo Contactos",
    "contact.email": "mail.q7@c7.example",
    "contact.phone": "+1 303 555 7719",
    "friend.name": "Qworlo Amicos",
    "friend.email": "mail.q9@f9.example",
    "request.name": "Wurzel Askos",
    "request.email": "mail.q6@r6.example",
    "request.text": "in gold for Vexmira",
    "billing.given_name": "Xandrik",
    "billing.family_name": "Billingos",
    "billing.email": "mail.q8@b8.example",
    "billing.address.line1": "52 Quillmarch",
    "billing.address.line2": "Floor Zz9",
    "billing.address.city": "Kzerovo",
    "billing.address.region": "Kx",
    "billing.address.postal_code": "KX99182",
    "billing.address.country": "AX",
    "billing.tax_id": "TAX0077123",
}
LEFT_OUT = {"line2", "region", "postal_code"}
PAYMENT_REFERENCE, HOLD, REF_NO = "5O190127TN364715T", "0VF52814937998046", "147288494"


def part(name: str) -> Any:
    """A part of the person as a gateway is given it."""
    its = {field.removeprefix(f"{name}."): value for field, value in PERSON.items() if field.startswith(f"{name}.")}
    address = {field.removeprefix("address."): its.pop(field) for field in list(its) if field.startswith("address.")}
    return SimpleNamespace(
        **{field: value for field, value in its.items() if "." not in field}, address=SimpleNamespace(**address)
    )


def recorded(stub: Any) -> list[dict[str, Any]]:
    """What a stub was asked, as the policy looks at a call."""
    calls = []
    for asked in stub.asked:
        headers = {name.lower(): value for name, value in asked.headers.items()}
        body: Any = None
        if asked.body:
            is_form = headers["content-type"].startswith("application/x-www-form-urlencoded")
            body = dict(asked.form) if is_form else asked.json
        calls.append({"method": asked.method, "path": asked.path, "query": asked.query, "headers": headers, "body": body})
    return calls


def of_the_carrier(stub: Any, http: Any) -> list[dict[str, Any]]:
    carrier = ShipEngine(http(), api_key="KEY", carrier_id="se-123", sender=SENDER)
    bought = {"label_id": "se-1", "status": "completed", "tracking_number": "1Z999", "carrier_code": "ups", "voided": False}
    link = f"{stub.url}/downloads/se-1.pdf"
    stub.on("GET /v1/labels/external_shipment_id/PC-1", (404, {"errors": []}))
    stub.on("POST /v1/labels", (200, {**bought, "label_download": {"pdf": link}}))
    stub.on("GET /downloads/se-1.pdf", (200, b"%PDF-1.4"))
    carrier.buy_label(BuyLabel("PC-1", "ups_ground", 340, 205, 150, 60, part("recipient")), in_doubt=True)
    return recorded(stub)


def of_a_carrier_for_a_plain_address(stub: Any, http: Any) -> list[dict[str, Any]]:
    carrier = ShipEngine(http(), api_key="KEY", carrier_id="se-123", sender=SENDER)
    inline = "data:application/pdf;base64," + b64encode(b"%PDF-1.4").decode()
    bought = {"label_id": "se-1", "status": "completed", "tracking_number": "1Z999", "carrier_code": "ups"}
    stub.on("POST /v1/labels", (200, {**bought, "label_download": {"pdf": inline}}))
    who = part("recipient")
    who.address.line2 = who.address.region = who.address.postal_code = None
    carrier.buy_label(BuyLabel("PC-2", "ups_ground", 340, 205, 150, 60, who), in_doubt=False)
    return recorded(stub)


def of_paypal(stub: Any, http: Any) -> list[dict[str, Any]]:
    amount = {"currency_code": "USD", "value": "187.65"}
    unit: dict[str, Any] = {"amount": amount}
    order = {"id": PAYMENT_REFERENCE, "intent": "AUTHORIZE", "status": "APPROVED", "purchase_units": [unit]}
    held = {**unit, "payments": {"authorizations": [{"id": HOLD, "status": "CREATED", "amount": amount}]}}
    taken = {
        "id": "2GG279541U471931P",
        "status": "COMPLETED",
        "amount": amount,
        "invoice_id": "AJ-1.abc.c",
        "final_capture": True,
    }
    stub.on("POST /v1/oauth2/token", (200, {"access_token": "A21", "token_type": "Bearer", "expires_in": 32400}))
    stub.on(f"GET /v2/checkout/orders/{PAYMENT_REFERENCE}", (200, order))
    stub.on(
        f"POST /v2/checkout/orders/{PAYMENT_REFERENCE}/authorize",
        (201, {**order, "status": "COMPLETED", "purchase_units": [held]}),
    )
    stub.on(f"POST /v2/payments/authorizations/{HOLD}/capture", (201, taken))
    related = {"supplementary_data": {"related_ids": {"capture_id": taken["id"]}}}
    stub.on(f"GET /v2/payments/authorizations/{HOLD}", (200, {"id": HOLD, "status": "CAPTURED", "amount": amount, **related}))
    stub.on(f"GET /v2/payments/captures/{taken['id']}", (200, taken))
    paypal = PayPal(http(), client_id="client", client_secret="secret")
    # Payments with PayPal have no billing part; if one were given, nothing of it may go out.
    paypal.authorise(
        AuthorisePayment(
            "https://shop.example", "AJ-1", "USD", 18765, "paypal", PAYMENT_REFERENCE, "AJ-1.abc.a", part("billing")
        ),
        in_doubt=False,
    )
    take = CapturePayment("https://shop.example", "AJ-1", "USD", 18765, "paypal", HOLD, "AJ-1.abc.c")
    paypal.capture(take, in_doubt=False)
    paypal.capture(take, in_doubt=True)
    return recorded(stub)


def of_twocheckout(stub: Any, http: Any) -> list[dict[str, Any]]:
    order = {
        "RefNo": REF_NO,
        "ExternalReference": "AJ-1.abc.a",
        "Status": "AUTHRECEIVED",
        "ApproveStatus": "OK",
        "Currency": "usd",
        "GrossPrice": 187.65,
    }
    stub.on("GET /rest/6.0/orders/", (404, {}))
    stub.on("POST /rest/6.0/orders/", (201, order))
    stub.on(f"GET /rest/6.0/orders/{REF_NO}/", (200, order))
    stub.on("POST /order/idn.php", (200, f"<EPAYMENT>{REF_NO}|1|text|2020-06-18 08:05:46|0f</EPAYMENT>".encode()))
    company = TwoCheckout(http("/rest/6.0"), http("/order/idn.php"), ACCOUNT)
    ask = AuthorisePayment(
        "https://shop.example", "AJ-1", "USD", 18765, "2checkout", "cdefa07d-0595", "AJ-1.abc.a", part("billing")
    )
    company.authorise(ask, in_doubt=True)
    company.capture(
        CapturePayment("https://shop.example", "AJ-1", "USD", 18765, "2checkout", REF_NO, "AJ-1.abc.c"), in_doubt=True
    )
    return recorded(stub)


def of_the_mailbox(_stub: Any, _http: Any) -> list[dict[str, Any]]:
    server = Server("8BITMIME", "SMTPUTF8", "PIPELINING")
    mailbox = Mailbox(f"smtp://127.0.0.1:{server.port}")
    try:
        for letter in letters():
            mail = render(letter, SHOP, AT)
            mailbox.send(mail.sender, mail.recipient, mail.message, smtputf8=mail.smtputf8)
        for circular in letters_to_many():
            must_show = CLASSES[circular.kind].carries_way_out
            mail = circulars.render(
                circular, SHOP, AT, Ways("https://shop.example/c", "https://shop.example/o"), must_show_way_out=must_show
            )
            mailbox.send(mail.sender, mail.recipient, mail.message, smtputf8=mail.smtputf8)
    finally:
        mailbox.close()
        server.close()
    envelopes = [line for line in server.commands if line.startswith(("MAIL", "RCPT"))]
    sent = zip(envelopes[::2], envelopes[1::2], server.mails, strict=True)
    return [mail_as_call(sender, recipient, message) for sender, recipient, message in sent]


def letters() -> list[Letter]:
    to: dict[str, Any] = {"order_number": "AJ-1", "to_name": PERSON["contact.name"], "to_email": PERSON["contact.email"]}
    asker: dict[str, Any] = {"to_name": PERSON["request.name"], "to_email": PERSON["request.email"]}
    usd = {name: Money(amount, "USD") for name, amount in (("discount", 0), ("shipping", 795), ("tax", 1370), ("total", 18765))}
    line = LetterLine(1, "Elvish band", 1, Money(16600, "USD"))
    return [
        OrderConfirmation(message_id="<a1@astrojewelry.com>", placed_at=AT, lines=(line,), **usd, **to),
        ShipmentMail(
            message_id="<a2@astrojewelry.com>",
            carrier="ups",
            tracking_number="1Z999",
            tracking_url="https://www.ups.com/track?tracknum=1Z999",
            **to,
        ),
        DeliveryMail(message_id="<a3@astrojewelry.com>", **to),
        *(letter(message_id=f"<{kind}@astrojewelry.com>", **to) for kind, letter in DIFFICULTY_LETTERS.items()),
        FriendInvitation(
            message_id="<f1@astrojewelry.com>",
            item_title="Elvish band",
            item_url="https://www.astrojewelry.com/ring",
            way_out="https://www.astrojewelry.com/no?word=abc",
            to_name=PERSON["friend.name"],
            to_email=PERSON["friend.email"],
        ),
        RequestReply(message_id="<r1@astrojewelry.com>", text="Yes, we can.\n\nGladly.", **asker),
        ComplaintAcknowledgement(message_id="<r2@astrojewelry.com>", case="C-1", due_on="2026-04-05", **asker),
    ]


def letters_to_many() -> list[circulars.Circular]:
    told = {"sentences": ["Send what was subscribed to."], "version": "2027-01-01"}
    words = {"subject": "The shop moves", "text": "From Monday on."}
    contact = SimpleNamespace(name=PERSON["contact.name"], email=PERSON["contact.email"], language="en")
    return [
        circulars.write(kind, UUID(int=number), told if kind.startswith("policy") else words, contact)
        for number, kind in enumerate(circulars.CIRCULARS)
    ]


def mail_as_call(sender: str, recipient: str, message: bytes) -> dict[str, Any]:
    """A mail as the policy looks at it, with everything decoded."""
    parsed = email.message_from_bytes(message, policy=email.policy.default)
    texts = [part.get_content() for part in parsed.walk() if not part.is_multipart()]
    envelope = {"sender": sender.partition("<")[2].partition(">")[0], "recipient": recipient.partition("<")[2].partition(">")[0]}
    headers = {name.lower(): str(value) for name, value in parsed.items()}
    return {
        "method": "MAIL",
        "path": f"/{CLASSES[headers['x-brown-paper-kind']].purpose}",
        "query": {},
        "headers": headers,
        "body": {"envelope": envelope, "text": "\n".join(texts)},
    }


SCENES: dict[Callable[[Any, Any], list[dict[str, Any]]], str] = {
    of_the_carrier: "carrier",
    of_a_carrier_for_a_plain_address: "carrier",
    of_paypal: "paypal",
    of_twocheckout: "twocheckout",
    of_the_mailbox: "mailbox",
}
"""What one gateway sends → the party that it sends to."""


@pytest.fixture(params=SCENES, ids=lambda scene: scene.__name__)
def calls(request: pytest.FixtureRequest, stub: Any, http: Any) -> list[tuple[str, dict[str, Any]]]:
    """(name in the policy, call) of what one gateway sent in one scene."""
    made = named(request.param, stub, http)
    assert made
    return made


def named(scene: Callable[[Any, Any], list[dict[str, Any]]], stub: Any, http: Any) -> list[tuple[str, dict[str, Any]]]:
    """A scene's calls by the policy's names; one that nothing allows is called by nothing."""
    return [(name_of(POLICY, SCENES[scene], call) or "", call) for call in scene(stub, http)]


def test_every_call_holds_what_the_policy_names(calls: list[tuple[str, dict[str, Any]]]) -> None:
    for name, call in calls:
        assert name, f"{call['method']} {call['path']} is no call of the policy"
        SCHEMAS[name].validate(call)


def test_each_personal_value_stands_where_the_policy_puts_it(calls: list[tuple[str, dict[str, Any]]]) -> None:
    for name, call in calls:
        # An address without a region or a code has neither to send; what a scene gives must arrive.
        is_plain_address = "PC-2" in str(call)
        given = {
            field: value for field, value in PERSON.items() if not is_plain_address or field.rpartition(".")[2] not in LEFT_OUT
        }
        assert misplaced(POLICY, name, call, given) == []


def test_the_scenes_make_every_call_of_the_policy(stub: Any, http: Any) -> None:
    seen = set()
    for scene in SCENES:
        stub.asked.clear()
        seen |= {name for name, _ in named(scene, stub, http)}
    assert seen == set(POLICY.disclosures)


def objects_in(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    """The path to every object of a call."""
    if isinstance(value, dict):
        yield path
        for name, inner in value.items():
            yield from objects_in(inner, *path, name)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from objects_in(inner, *path, index)


def leaves_in(value: Any, *path: Any) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict | list):
        for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves_in(inner, *path, key)
    else:
        yield path


def at(call: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        call = call[step]
    return call


def test_one_member_more_is_red(calls: list[tuple[str, dict[str, Any]]]) -> None:
    for name, call in calls:
        for path in objects_in(call):
            more = copy.deepcopy(call)
            at(more, path)["more"] = PERSON["contact.phone"]
            assert not SCHEMAS[name].is_valid(more), (name, path)


def test_a_list_or_an_object_in_the_place_of_a_value_is_red(calls: list[tuple[str, dict[str, Any]]]) -> None:
    for name, call in calls:
        for path in leaves_in(call):
            more = copy.deepcopy(call)
            at(more, path[:-1])[path[-1]] = {"nested": [PERSON["contact.phone"]]}
            assert not SCHEMAS[name].is_valid(more), (name, path)


def test_a_call_to_another_place_is_red(calls: list[tuple[str, dict[str, Any]]]) -> None:
    for name, call in calls:
        party = POLICY.disclosures[name].to
        assert name_of(POLICY, party, {**call, "method": "DELETE"}) is None
        assert name_of(POLICY, "advertiser", call) is None
        other = name_of(POLICY, party, {**call, "path": f"{call['path']}/more/of/it"})
        assert other == ("carrier-label-paper" if (party, call["method"]) == ("carrier", "GET") else None), (
            "one path is the carrier's to name"
        )


def test_a_value_in_another_place_is_red(calls: list[tuple[str, dict[str, Any]]]) -> None:
    for name, call in calls:
        for path in leaves_in(call):
            if path == ("method",):
                continue
            more = copy.deepcopy(call)
            at(more, path[:-1])[path[-1]] = f"for {PERSON['recipient.gift_message']}"
            assert [it for it in misplaced(POLICY, name, more, PERSON) if "gift_message" in it], (name, path)


def test_a_value_that_does_not_go_out_is_red(stub: Any, http: Any) -> None:
    [buy] = [call for name, call in named(of_the_carrier, stub, http) if name == "carrier-buy-label"]
    for field in POLICY.disclosures["carrier-buy-label"].personal:
        *steps, last = field.split(".")
        less = copy.deepcopy(buy)
        at(less["body"], tuple(steps)).pop(last)
        if field not in {
            "shipment.external_shipment_id",
            "shipment.ship_to.city_locality",
        }:  # these values go out twice, or are no person's
            assert misplaced(POLICY, "carrier-buy-label", less, PERSON) != [], field
