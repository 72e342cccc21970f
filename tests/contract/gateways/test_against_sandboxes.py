"""Our clients against the sandboxes as programs of their own, with many answers lost: each thing happens exactly once."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from services.notifications.gateway import Mailbox
from services.payments.gateway import Authorised, AuthorisePayment, Captured, CapturePayment, Declined
from services.payments.gateway.paypal import PayPal
from services.payments.gateway.twocheckout import TwoCheckout, TwoCheckoutAccount
from services.shipping.gateway import BuyLabel, Label, Sender, ShipEngine
from shared.contracts.errors import TryLater, Unanswered
from shared.http_client import HttpClient

ROOT = Path(__file__).parents[3]
SHOP = "https://shop.example"
ORDERS = 40
ADDRESS = SimpleNamespace(line1="12 Larimer St", line2=None, city="Denver", region="CO", postal_code="80202", country="US")
BILLING = SimpleNamespace(given_name="Ana", family_name="Müller", email="ana@example.com", address=ADDRESS, tax_id=None)


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., dict[str, str]]]:
    """Starts one sandbox and gives back the URLs that it prints."""
    with ExitStack() as stack:

        def start(party: str, *options: str) -> dict[str, str]:
            books = str(tmp_path_factory.mktemp(party))
            command = [sys.executable, "-m", "deploy.sandbox", party, "--books", books, "--lose-answers", "0.4", *options]
            program = stack.enter_context(subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True))
            stack.callback(program.terminate)
            assert program.stdout is not None
            urls: dict[str, str] = json.loads(program.stdout.readline())
            return urls

        yield start


def client(url: str) -> HttpClient:
    # One try per call: what is lost is to be met by the look-up, not by a quick repeat.
    return HttpClient(url, timeout_seconds=(60, 60), tries=1)


def summary(url: str) -> dict[str, Any]:
    content: dict[str, Any] = client(url).call("GET", "/_books/summary", repeatable=True).json_object()
    return content


def until_done(perform: Callable[..., Any]) -> tuple[Any, int]:
    """What the intents' engine does, without its pauses: once in doubt, always in doubt. Gives the outcome and the misses."""
    in_doubt, lost = False, 0
    for _ in range(30):
        try:
            return perform(in_doubt=in_doubt), lost
        except Unanswered:
            in_doubt, lost = True, lost + 1
        except TryLater:
            lost += 1
    raise AssertionError("it never came to an end")


def test_each_paypal_order_is_authorised_and_captured_once(sandbox: Any) -> None:
    url = sandbox("paypal", "--decline", "0.2")["url"]
    provider = PayPal(client(url), client_id="sandbox-client", client_secret="sandbox-client-secret")
    wishes = [{"reference_id": f"AJ-{number}", "currency": "USD", "amount": "187.65"} for number in range(ORDERS)]
    made = client(url).call("POST", "/_sandbox/orders", json=wishes, repeatable=False).json_object()["orders"]
    holds, captures, declined, lost = set(), set(), 0, 0
    for number, order in enumerate(made):
        ask = AuthorisePayment(SHOP, f"AJ-{number}", "USD", 18765, "paypal", order["id"], f"authorise-{number}")
        outcome, misses = until_done(lambda ask=ask, **how: provider.authorise(ask, **how))
        lost += misses
        if isinstance(outcome, Declined):
            declined += 1
            continue
        assert isinstance(outcome, Authorised)
        holds.add(outcome.authorisation_reference)
        take = CapturePayment(SHOP, f"AJ-{number}", "USD", 18765, "paypal", outcome.authorisation_reference, f"capture-{number}")
        outcome, misses = until_done(lambda take=take, **how: provider.capture(take, **how))
        lost += misses
        assert isinstance(outcome, Captured)
        captures.add(outcome.capture_reference)
    told = summary(url)
    assert (told["authorised"], told["captured"]) == (len(holds), len(captures)) == (ORDERS - declined, ORDERS - declined)
    assert declined
    assert lost > ORDERS / 4


def test_each_twocheckout_token_makes_one_order_that_is_paid_once(sandbox: Any) -> None:
    url = sandbox("twocheckout", "--decline", "0.2")["url"]
    account = TwoCheckoutAccount("SANDBOX", "sandbox-secret-key", f"{SHOP}/paid", f"{SHOP}/basket")
    provider = TwoCheckout(client(f"{url}/rest/6.0"), client(f"{url}/order/idn.php"), account)
    made = client(url).call("POST", "/_sandbox/tokens", json={"count": ORDERS}, repeatable=False).json_object()["tokens"]
    paid, declined, lost = set(), 0, 0
    for number, token in enumerate(made):
        ask = AuthorisePayment(SHOP, f"AJ-{number}", "USD", 18765, "2checkout", token, f"authorise-{number}", BILLING)
        outcome, misses = until_done(lambda ask=ask, **how: provider.authorise(ask, **how))
        lost += misses
        if isinstance(outcome, Declined):
            assert outcome.reason == "declined"
            declined += 1
            continue
        assert isinstance(outcome, Authorised)
        take = CapturePayment(
            SHOP, f"AJ-{number}", "USD", 18765, "2checkout", outcome.authorisation_reference, f"capture-{number}"
        )
        outcome, misses = until_done(lambda take=take, **how: provider.capture(take, **how))
        lost += misses
        assert isinstance(outcome, Captured)
        paid.add(outcome.capture_reference)
    told = summary(url)
    assert (told["orders"], told["authorised"], told["captured"]) == (ORDERS, len(paid), len(paid))
    assert len(paid) == ORDERS - declined
    assert declined
    assert lost > ORDERS / 4


def test_each_parcel_gets_one_label(sandbox: Any) -> None:
    url = sandbox("carrier")["url"]
    sender = Sender("Astro Jewelry", "+1 303 555 0100", "1 Market St", "Denver", "CO", "80202", "US")
    carrier = ShipEngine(client(url), api_key="TEST_sandbox", carrier_id="se-100001", sender=sender)
    labels, lost = set(), 0
    for number in range(ORDERS):
        recipient = SimpleNamespace(name="Ana Müller", address=ADDRESS)
        ask = BuyLabel(f"parcel-{number}", "ups_ground", 340, 205, 150, 60, recipient)
        label, misses = until_done(lambda ask=ask, **how: carrier.buy_label(ask, **how))
        lost += misses
        assert isinstance(label, Label)
        assert label.tracking_url is not None
        labels.add((label.label_id, label.tracking_number))
    assert summary(url)["labels"] == len(labels) == ORDERS
    assert lost > ORDERS / 4


def test_a_mail_is_taken_and_a_lost_answer_leaves_doubt(sandbox: Any) -> None:
    urls = sandbox("mailbox")
    mailbox = Mailbox(urls["smtp_url"], timeout_seconds=(60, 60))
    doubtful = 0
    for number in range(ORDERS):
        mail = f"Message-ID: <{number}@shop.example>\r\nFrom: shop@shop.example\r\nSubject: {number}\r\n\r\n.Hello\r\n"
        try:
            mailbox.send("shop@shop.example", "ana@example.com", mail.encode(), smtputf8=False)
        except Unanswered:
            doubtful += 1
    mailbox.close()
    told = summary(urls["url"])
    assert (told["mails"], told["repeats"]) == (ORDERS, 0)
    assert 0 < doubtful < ORDERS
