"""The door of payments: what it hears, what it asks of the payment companies, what it does with their answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from services.payments import handlers
from services.payments.domain import AUTHORISE, CAPTURE
from services.payments.gateway import (
    Authorised,
    AuthorisePayment,
    Captured,
    CaptureFailed,
    CapturePayment,
    Declined,
    PaymentProvider,
)
from services.payments.gateway.paypal import PayPal
from services.payments.gateway.twocheckout import TwoCheckout, TwoCheckoutAccount
from services.payments.persons import PaymentsPersons
from services.payments.retention import CLEARINGS, PaymentsRetention
from services.payments.settings import PaymentsSettings
from services.payments.staff import BillingDesk
from services.payments.store import PaymentsReads, PaymentsStore
from shared.contracts.errors import BrownPaperError
from shared.contracts.events import BillingEntrusted, LabelCreated
from shared.contracts.person_events import BillingCorrected
from shared.contracts.values import OrderKey
from shared.custody.vault import Opened
from shared.database import Database
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import hears, performs, prepares, settles
from shared.delivery.work import IntentRow, Work
from shared.dependencies import Made
from shared.http_client import HttpClient
from shared.rights import RightsHolder

BILLING = "billing"  # the purpose, in the policy's word
TWOCHECKOUT = "2checkout"  # the one provider that is told who pays
BILLS_TO = "twocheckout"  # the same, in the policy's word


def _providers(settings: PaymentsSettings) -> dict[str, PaymentProvider]:
    """The payment companies, by the contract's names for them."""
    pool_size, timeout_seconds = settings.calls_in_flight, (4.0, settings.party_timeout_seconds)

    def client(url: str, ca_file: str | None) -> HttpClient:
        return HttpClient(url, timeout_seconds=timeout_seconds, pool_size=pool_size, ca_file=ca_file)

    return {
        "paypal": PayPal(
            client(settings.paypal_base_url, settings.paypal_ca_file),
            client_id=settings.paypal_client_id,
            client_secret=settings.paypal_client_secret.get_secret_value(),
        ),
        TWOCHECKOUT: TwoCheckout(
            client(settings.twocheckout_base_url, settings.twocheckout_ca_file),
            client(settings.twocheckout_idn_url, settings.twocheckout_ca_file),
            TwoCheckoutAccount(
                settings.twocheckout_merchant_code,
                settings.twocheckout_secret_key.get_secret_value(),
                settings.twocheckout_return_url,
                settings.twocheckout_cancel_url,
                settings.twocheckout_payment_type,
            ),
        ),
    }


def _reads(settings: PaymentsSettings) -> PaymentsReads:
    return PaymentsReads(Database(settings.database_url, name="payments.reads"))


class PaymentsService(RightsHolder, BillingDesk):
    """Authorises and captures the payments of accepted orders."""

    name = "payments"
    part = "billing"
    Store = PaymentsStore
    rows = PaymentsPersons()
    retained = PaymentsRetention()
    clearings = CLEARINGS
    reads = Made(_reads)
    providers = Made(_providers)

    @hears(BillingEntrusted)
    def billing_entrusted(self, event: BillingEntrusted, work: Work[PaymentsStore]) -> None:
        handlers.take_payment(event, work.kept, work.store, work.at)

    @hears(BillingCorrected)
    def billing_corrected(self, event: BillingCorrected, work: Work[PaymentsStore]) -> None:
        self.correct(event, work, lambda envelopes: handlers.correct_billing(event, envelopes, work.store, work.at))

    @hears(LabelCreated)
    def label_created(self, event: LabelCreated, work: Work[PaymentsStore]) -> None:
        handlers.note_label(event, work.store)

    @prepares(AUTHORISE)
    def open_billings(self, intents: Sequence[IntentRow]) -> Mapping[OrderKey, Opened | BrownPaperError]:
        billings = self.reads.billings([intent.about for intent in intents if intent.details["provider"] == TWOCHECKOUT])
        opened: Mapping[OrderKey, Opened | BrownPaperError] = self.parts.open(billings, purpose=BILLING, to=BILLS_TO)
        return opened

    @performs(AUTHORISE, party_in="provider")
    def ask_for_authorisation(self, intent: IntentRow) -> Authorised | Declined:
        billing = None if intent.brought is None else self.parts.read(intent.brought, "billing_missing")
        ask = AuthorisePayment(*intent.about, key=intent.key, billing=billing, **intent.details)
        provider: PaymentProvider = self.providers[ask.provider]
        return provider.authorise(ask, in_doubt=intent.in_doubt)

    @settles(AUTHORISE)
    def authorisation_answered(self, settlement: Settlement, work: Work[PaymentsStore]) -> None:
        handlers.note_authorisation(settlement.intent.about, settlement.outcome, work.store, work.at)

    @performs(CAPTURE, party_in="provider")
    def ask_for_capture(self, intent: IntentRow) -> Captured | CaptureFailed:
        ask = CapturePayment(*intent.about, key=intent.key, **intent.details)
        provider: PaymentProvider = self.providers[ask.provider]
        return provider.capture(ask, in_doubt=intent.in_doubt)

    @settles(CAPTURE)
    def capture_answered(self, settlement: Settlement, work: Work[PaymentsStore]) -> None:
        handlers.note_capture(settlement.intent.about, settlement.outcome, work.store, work.at)
