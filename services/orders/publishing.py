"""The part of orders' door through which the shop speaks to everybody: `GET /policy` for anybody, policy versions and letters from staff."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from services.orders import publication_store, publications
from services.orders.publication_store import KnownVersions, PublicationReads
from services.orders.publications import LetterToMany, Publication
from services.orders.settings import OrdersSettings
from shared.contracts.errors import Fault
from shared.contracts.policy_events import LetterAnnounced, PolicyPublished
from shared.database import Database
from shared.delivery.entrypoints import Door
from shared.delivery.reading import faults_of
from shared.delivery.work import Ending, Work
from shared.dependencies import Made
from shared.http_door import Answer, Request, StatusError, serve
from shared.policy import Policy, PolicyRefused, load
from shared.policy.loading import load_text

StaffName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{2,40}$")]
_CONFLICTS = frozenset({"version_not_later", "policy_same", "announcements_too_many"})


class _Form(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class PolicyForm(_Form):
    """A version's whole file, who publishes it (a staff name, no e-mail), and whether a notice without a widening is mailed too."""

    policy: str
    by: StaffName
    mail_notice: bool = False


class LetterForm(_Form):
    """A letter in plain text, and who sends it."""

    kind: Literal["announcement", "newsletter"]
    subject: str = Field(min_length=1, max_length=150, pattern=r"^[^\x00-\x1f\x7f]+$")
    text: str = Field(min_length=1, max_length=20_000, pattern=r"^[^\x00-\x09\x0b-\x1f\x7f]+$")
    by: list[StaffName] = Field(min_length=1, max_length=5)


def _reads(settings: OrdersSettings) -> PublicationReads:
    return PublicationReads(Database(settings.database_url, name="orders.publications", most_connections=1))


def _versions(settings: OrdersSettings) -> KnownVersions:
    return KnownVersions(settings.policy_versions, _reads(settings))


def _most(settings: OrdersSettings) -> int:
    return settings.announcements_per_30_days


def _shown_for(settings: OrdersSettings) -> timedelta:
    return timedelta(days=settings.notice_days)


class Publishing(Door):
    """See the module."""

    publication_reads = Made(_reads)
    known_versions = Made(_versions)
    most_announcements = Made(_most)
    notices_shown_for = Made(_shown_for)

    @serve("GET", "/policy")
    def policy(self, _request: Request) -> Answer:
        """The version in force today, those that are coming, and what changed of late, prominently (clauses 55, 60 and 62)."""
        now, release = datetime.now(UTC), load()
        published = self.publication_reads.publications()
        today = now.date().isoformat()
        in_force = max([release.version, *(it.version for it in published if it.version <= today)])
        shown = {
            "version": in_force,
            "published": [{"version": it.version, "published_at": it.published_at} for it in published],
            "notices": [_notice(it) for it in published if now - it.published_at < self.notices_shown_for],
        }
        return Answer(200, shown, {"Cache-Control": "max-age=300"})

    @serve("POST", "/policy", token="staff_token")
    def publish(self, request: Request) -> Answer:
        form = _read(PolicyForm, request.body)
        try:
            new = load_text(form.policy)
        except PolicyRefused as error:
            raise StatusError(422, "policy_unsound", f"/policy/{error.faults[0].line}") from None
        ending = self.asks("publish_policy", [((new, form, datetime.now(UTC)), None)])[0]
        it: Publication = _result(ending)
        return Answer(200, {**_notice(it), "previous": it.previous, "is_mailed": it.is_mailed})

    def publish_policy(self, asked: tuple[Policy, PolicyForm, datetime], work: Work[Any]) -> Ending:
        """Write the version down and tell it. The same text once more is the same publication."""
        new, form, at = asked
        connection = work.store.connection
        publication_store.lock(connection)
        last = publication_store.last(connection)
        if last is not None and (last.version, last.document) == (new.version, form.policy):
            return Ending("done", result=last)
        in_release = load()
        old = load_text(last.document, is_earlier=True) if last is not None and last.version > in_release.version else in_release
        it = publications.publish(old, new, form.policy, said_by=form.by, is_mailed=form.mail_notice, at=at)
        publication_store.add(connection, it)
        work.tell(
            PolicyPublished(
                policy_version=it.version,
                previous_version=it.previous,
                published_at=at,
                widened=list(it.widened),
                noticed=list(it.noticed),
                is_mailed=it.is_mailed,
            )
        )
        return Ending("done", result=it)

    @serve("POST", "/announcements", token="staff_token")
    def announce(self, request: Request) -> Answer:
        form = _read(LetterForm, request.body)
        letter = LetterToMany(form.kind, form.subject, form.text, tuple(form.by), datetime.now(UTC))
        ending = self.asks("announce_letter", [(letter, None)])[0]
        return Answer(200, {"announcement": letter.name, "kind": letter.kind, "announced_at": _result(ending)})

    def announce_letter(self, letter: LetterToMany, work: Work[Any]) -> Ending:
        """Write the letter down and tell it. The same letter once more is the same announcement."""
        connection = work.store.connection
        publication_store.lock(connection)
        before = publication_store.announced(connection, letter.name)
        if before is not None:
            return Ending("done", result=before)
        sent = publication_store.announcements_since(connection, letter.announced_at)
        publications.announce(letter, sent, self.most_announcements)
        publication_store.add_letter(connection, letter)
        work.tell(
            LetterAnnounced(
                announcement=letter.name,
                kind=letter.kind,
                subject=letter.subject,
                text=letter.text,
                announced_at=letter.announced_at,
            )
        )
        return Ending("done", result=letter.announced_at)


def _read(form: type[Any], body: bytes) -> Any:
    try:
        return form.model_validate_json(body)
    except ValidationError as error:
        fault = faults_of(error)[0]
        raise StatusError(422, fault.code, fault.path) from None


def _result(ending: Ending) -> Any:
    if ending.kind == "refused":
        fault = ending.faults[0] if ending.faults else Fault(ending.code)
        raise StatusError(409 if fault.code in _CONFLICTS else 422, fault.code, fault.path)
    if ending.kind != "done":
        raise StatusError(503, ending.code or "service_busy")
    return ending.result


def _notice(it: Publication) -> dict[str, Any]:
    return {"version": it.version, "published_at": it.published_at, "widened": it.widened, "noticed": it.noticed}


__all__ = ["Publishing"]
