"""The part of notifications' door that writes to many: an event begins a campaign, persons are taken up some at a time, the gate decides."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from nameko.timer import timer

from services.notifications import campaign_store, circulars, gate
from services.notifications.campaign_store import CampaignReads, Letter
from services.notifications.campaigns import SEND_LETTER, Campaign
from services.notifications.circulars import Ways
from services.notifications.domain import Handed, NotTaken, Withheld
from services.notifications.gate import Reader
from services.notifications.gateway import MAILBOX
from services.notifications.mailing import CLASSES, MailWriter
from services.notifications.settings import NotificationsSettings
from services.notifications.store import KeptContact, NotificationsStore
from shared.contracts.aggregate import Aggregate, Intent
from shared.contracts.errors import BrownPaperError
from shared.contracts.policy_events import LetterAnnounced, PolicyPublished
from shared.contracts.values import OrderKey
from shared.custody.vault import Opened, PartClosed
from shared.database import Database
from shared.delivery.engine import Settlement
from shared.delivery.entrypoints import hears, performs, prepares, settles
from shared.delivery.work import IntentRow, Work
from shared.dependencies import Made

_log = logging.getLogger("brownpaper.notifications")
Unit = Work[NotificationsStore]


@dataclass(frozen=True, slots=True)
class Pace:
    """How many persons one step takes up, and how long the campaign then rests."""

    batch: int
    pause: timedelta


@dataclass(frozen=True, slots=True)
class Brought:
    """What the letters about one order's contact need: the contact opened for each kind that the gate lets through, and what is told."""

    kept: KeptContact
    opened: dict[str, Opened | BrownPaperError]
    told: Mapping[str, dict[str, Any]]


def _campaign_reads(settings: NotificationsSettings) -> CampaignReads:
    return CampaignReads(Database(settings.database_url, name="notifications.campaigns", most_connections=2))


def _pace(settings: NotificationsSettings) -> Pace:
    return Pace(settings.campaign_batch, timedelta(seconds=settings.campaign_seconds))


def _ways(settings: NotificationsSettings) -> Ways:
    return Ways(settings.policy_choice_url, settings.mail_preferences_url)


class Circulation(MailWriter):
    """See the module."""

    campaign_reads = Made(_campaign_reads)
    pace = Made(_pace)
    ways = Made(_ways)

    @hears(PolicyPublished)
    def policy_published(self, event: PolicyPublished, work: Unit) -> None:
        campaign = Campaign.of_policy(event, work.at)
        if campaign is not None:
            campaign_store.begin(work.store.connection, campaign)

    @hears(LetterAnnounced)
    def letter_announced(self, event: LetterAnnounced, work: Unit) -> None:
        campaign_store.begin(work.store.connection, Campaign.of_letter(event, work.at))

    @timer(interval=1)  # type: ignore[untyped-decorator]
    def go_on_with_campaigns(self) -> None:
        now = datetime.now(UTC)
        try:
            if self.campaign_reads.is_any_due(now):
                self.asks("advance_campaign", [(now, None)])
        except BrownPaperError as error:
            _log.warning("campaigns_not_advanced", extra={"error": type(error).__name__})

    def advance_campaign(self, at: datetime, work: Unit) -> None:
        """Take up the next persons of one campaign: a letter's row and its intent for each, and how far it has come, in one transaction."""
        connection = work.store.connection
        campaign = campaign_store.take_due(connection, at)
        if campaign is None:
            return
        persons = campaign_store.persons_after(connection, campaign, self.pace.batch)
        for person in persons:
            letter = Letter(campaign.name, person.shop, person.customer_id, uuid4())
            if campaign_store.add_letter(connection, letter, person.order_number, at):
                errand = Aggregate()
                errand.intend(
                    Intent(SEND_LETTER, f"{letter.campaign} {letter.shop} {letter.customer_id}", _details(campaign.kind, letter))
                )
                work.store.recorder.remember(errand, OrderKey(person.shop, person.order_number))
        campaign.step(persons, at, self.pace.pause)
        campaign_store.save(connection, campaign)

    @prepares(SEND_LETTER)
    def open_for_letters(self, intents: Sequence[IntentRow]) -> Mapping[OrderKey, Brought]:
        kept = self.reads.contacts(list(dict.fromkeys(intent.about for intent in intents)))
        told = self.campaign_reads.told(sorted({intent.details["campaign"] for intent in intents}))
        brought = {key: Brought(one, {}, told) for key, one in kept.items()}
        wanted: dict[str, dict[OrderKey, tuple[str, dict[str, Any]]]] = {}
        for intent in intents:
            one, kind = kept.get(intent.about), intent.details["kind"]
            if one is not None and gate.refusal(CLASSES[kind], Reader("active", one.communication)) is None:
                wanted.setdefault(kind, {})[intent.about] = (one.customer_id, one.contact)
        for kind, envelopes in wanted.items():
            for key, opened in self.parts.open(envelopes, purpose=CLASSES[kind].purpose, to=MAILBOX).items():
                brought[key].opened[kind] = opened
        return brought

    @performs(SEND_LETTER)
    def send_letter(self, intent: IntentRow) -> Handed | NotTaken | Withheld:
        """The letter, if its reader may still get it: what they said since it was taken up counts."""
        kind, brought = intent.details["kind"], intent.brought
        if brought is None or intent.details["campaign"] not in brought.told:
            return Withheld(kind, "contact_gone")
        opened = brought.opened.get(kind)
        state = opened.person_state if isinstance(opened, Opened) else "active"
        withheld = gate.refusal(CLASSES[kind], Reader(state, brought.kept.communication))
        if withheld is not None:
            return Withheld(kind, withheld)
        if isinstance(opened, PartClosed):
            return Withheld(kind, opened.code)
        contact = self.parts.read(opened, "contact_missing")
        circular = circulars.write(kind, UUID(intent.details["letter"]), brought.told[intent.details["campaign"]], contact)
        must_show = CLASSES[kind].carries_way_out
        return self.hand_over(
            kind, circulars.render(circular, self.shop, datetime.now(UTC), self.ways, must_show_way_out=must_show)
        )

    @settles(SEND_LETTER)
    def letter_answered(self, settlement: Settlement, work: Unit) -> None:
        details, about = settlement.intent.details, settlement.intent.about
        letter = Letter(details["campaign"], about.shop, details["customer_id"], UUID(details["letter"]))
        campaign_store.note(work.store.connection, letter, settlement.outcome, work.at)


def _details(kind: str, letter: Letter) -> dict[str, Any]:
    return {"kind": kind, "campaign": letter.campaign, "customer_id": letter.customer_id, "letter": str(letter.letter)}
