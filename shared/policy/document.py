"""What stands in the policy file, as frozen models. Whether it is whole and fits together is judged in `soundness`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints


def _no_truth(value: object) -> object:
    """A truth is no number, though Python counts it as one. Raises ValueError."""
    if isinstance(value, bool):
        raise ValueError("a truth is no number")  # noqa: TRY004 - pydantic names the place of a ValueError alone
    return value


Number = Annotated[int, BeforeValidator(_no_truth)]
ClauseNumber = Number
Said = Annotated[str, StringConstraints(pattern=r"\S")]
"""Words for people; blanks say nothing."""
TestName = Annotated[str, StringConstraints(pattern=r"^tests/\S+\.py::test_\w+$")]


class Entry(BaseModel):
    """A frozen entry of the file; a member that is not named here is a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Rule(Entry):
    """Anything that makes a clause true: the clauses and addenda it serves, and the checks that would see it broken."""

    clauses: tuple[ClauseNumber, ...] = ()
    addenda: tuple[str, ...] = ()
    checks: tuple[str, ...] = ()


class Text(Entry):
    """The published policy that the file puts into rules: who published it, and the digest of its text with single blanks."""

    publisher: str
    last_modified: str
    sha256: str


class Clause(Entry):
    """One promise in our own words; `declined` says why no rule applies, where that may be."""

    statement: Said
    declined: Said | None = None


class Purpose(Entry):
    """What personal data may be used for; `use` is the key of a data use in the fideslang taxonomy."""

    statement: Said
    use: str
    clauses: tuple[ClauseNumber, ...] = ()
    addenda: tuple[str, ...] = ()


class Service(Entry):
    """One of the services, in a sentence for people."""

    statement: Said


class Party(Rule):
    """Somebody outside; `secondary_use` is what it may do with a datum besides what it was given for."""

    statement: Said
    secondary_use: Literal["forbidden", "none_given"]
    reached_by: Literal["https", "smtp", "amqp"]


class Role(Entry):
    """A staff role, in a sentence for people."""

    statement: Said


class PartField(Entry):
    """One field of a part: its category's key in the fideslang taxonomy, and how it is written where the storefront writes it.

    `grammar` names a kind of the storefront's contract; with `_or_none` the field may be left out, and is `default` then.
    """

    category: str
    grammar: str | None = None
    default: str | None = None


class FieldGroup(Entry):
    """Fields that stand under one name (`address.city`); `several`: there may be any number of such groups."""

    statement: Said
    several: bool = False


class Part(Entry):
    """A set of fields that belongs together. `sealed`: travels and rests as a box for one service; else it is pseudonymous."""

    statement: Said
    subject: Literal["customer", "recipient", "friend"]
    sealed: bool
    fields: dict[str, PartField]
    events: tuple[str, ...] = ()
    """The events that carry it."""
    may_lack_in: tuple[str, ...] = ()
    """Those of them that may come without it."""
    groups: dict[str, FieldGroup] = {}
    """The first word of a dotted field → what it stands for."""


class Waiting(Entry):
    """For how many days, from its coming, a part may wait for what it is there for: a parked message, a mail that does not go, an answer."""

    days: int = Field(ge=0)
    addendum: str


class Retention(Entry):
    """How long: `days` from the last of the events of `after`; without `days` for good, which only an addendum can allow.

    `waits` ends it where none of them comes, because nothing was ever done with it.
    """

    after: tuple[str, ...]
    days: Number | None = Field(default=None, ge=0)
    action: Literal["destroy_keys_and_rows", "clear", "delete", "keep"]
    addendum: str
    waits: Waiting | None = None


class Hold(Rule):
    """A service may have fields of a part for a purpose. `opens`: it may read them; else it only passes the box on."""

    service: str
    part: str
    fields: tuple[str, ...]
    purpose: str
    opens: bool
    form: Literal["as_it_is", "keyed_hash"] = "as_it_is"
    retention: Retention | None = None


class Disclosure(Rule):
    """One outgoing call, whole: what of a person it may hold and where, and every other member it may have.

    Places are dotted, `[]` stands for the items of a list; `personal` maps a place in the body to the fields it may be made of (the first that
    there is). A `{part.field}` in the path is a value of that field.
    """

    by: str
    to: str
    purpose: str
    method: Literal["GET", "POST", "MAIL"]
    path: str = ""
    headers: tuple[str, ...] = ()
    query: tuple[str, ...] = ()
    body: Literal["json", "form", "mail", "none"]
    plain: tuple[str, ...] = ()
    personal: dict[str, tuple[str, ...]] = {}


class StaffGrant(Rule):
    """What a staff role may do with which fields, through which service's door. `people` is how many must agree."""

    role: str
    service: str
    part: str
    fields: tuple[str, ...]
    purpose: str
    actions: tuple[Literal["see", "print", "reveal", "reply", "release"], ...]
    needs_case: bool
    people: Annotated[Literal[1, 2], BeforeValidator(_no_truth)] = 1


class MailClass(Rule):
    """A class of mails: who gets them, what stops them, and what they may be made of."""

    kinds: tuple[str, ...]
    purpose: str
    part: str
    fields: tuple[str, ...]
    promotional: bool
    needs_consent: bool
    carries_way_out: bool
    stopped_by: tuple[Literal["no_mailings", "no_communication", "deactivated", "erased", "friend_opted_out"], ...]
    to_deactivated: Literal["never", "for_an_open_order"]


class Never(Rule):
    """A datum that has no place here at all, and the names under which it would come."""

    category: str
    names: tuple[str, ...]


class Guard(Rule):
    """A kind of compiled rule of a server, or something that the services do or refuse to do; in a sentence."""

    statement: Said


class BrokerUser(Entry):
    """Whose broker user it is: a service's or an outside party's."""

    service: str | None = None
    party: str | None = None


class Broker(Entry):
    """The broker's users besides its administrator, and the plugins that may run in it."""

    users: dict[str, BrokerUser]
    plugins: tuple[str, ...]


class Database(Entry):
    """A database: the cluster it stands in, and the service whose role alone may enter it."""

    cluster: Literal["data", "keyring"]
    service: str
    tables: str


class Table(Entry):
    """Every column of a table, and its triggers: boxes of a part, fields of pseudonymous parts, and what is no person's."""

    sealed: dict[str, str] = {}
    """column → the sealed part in it."""
    pseudonymous: dict[str, str] = {}
    """column → the part whose fields stand in it."""
    with_boxes: tuple[str, ...] = ()
    """Those of the above that hold messages or calls whole, boxes of any part of the service among them."""
    plain: tuple[str, ...] = ()
    triggers: dict[str, str] = {}
    """trigger → the function that it calls: what the table itself keeps true."""
    added_only: bool = False
    """It belongs to a role of its own that nobody can be; the service's role may add rows and read them."""


class Databases(Entry):
    """The databases, the settings of their servers, and every column of theirs."""

    databases: dict[str, Database]
    settings: dict[str, str]
    tables: dict[str, dict[str, Table]]
    """set of tables → table → its columns."""
    called_alike: dict[str, Said] = {}
    """A plain column that is called like a person's field (set of tables, table and column, with dots) → why it is none."""


ModelMembers = dict[str, dict[str, dict[str, str]]]
"""model → part → member → how it is written."""


class Messages(Entry):
    """The members of the events' models that belong to a person's part, and all others, which hold nothing personal."""

    storefront: ModelMembers
    internal: ModelMembers
    plain: tuple[str, ...]


class Observed(Entry):
    """What may be written about the running system: the fields of a log line and the labels of a metric."""

    log_fields: tuple[str, ...]
    metric_labels: dict[str, tuple[str, ...]]


class Canaries(Entry):
    """The places where a person's datum is searched for, and those where the pseudonymous ones may be found."""

    places: dict[str, str]
    pseudonymous_places: tuple[str, ...]


class Addendum(Entry):
    """Where the policy is silent: what we decided, plainly ours."""

    statement: Said


class Check(Entry):
    """What would see a rule broken, and how it was seen red: a test, a comparison of compiled rules or of a live server."""

    test: TestName | None = None
    compiled: (
        Literal["part-models", "event-members", "never-a-field", "hearers", "staff", "metric-labels", "documents"] | None
    ) = None
    live: Literal["broker", "databases", "settings"] | None = None
    red: TestName


class Pending(Entry):
    """A check that later work brings; the strict reading refuses it."""

    awaits: Said


class Policy(Entry):
    """The whole file."""

    version: str
    text: Text
    clauses: dict[ClauseNumber, Clause]
    addenda: dict[str, Addendum]
    purposes: dict[str, Purpose]
    services: dict[str, Service]
    parties: dict[str, Party]
    roles: dict[str, Role]
    later_events: tuple[str, ...]
    parts: dict[str, Part]
    never: dict[str, Never]
    holds: dict[str, Hold]
    disclosures: dict[str, Disclosure]
    staff: dict[str, StaffGrant]
    mails: dict[str, MailClass]
    guards: dict[str, Guard]
    promises: dict[str, Guard]
    broker: Broker
    databases: Databases
    messages: Messages
    observed: Observed
    canaries: Canaries
    checks: dict[str, Check]
    pending: dict[str, Pending]

    def rules(self) -> Iterator[tuple[tuple[str, str], Rule]]:
        """((section, name), rule) of everything that serves a clause."""
        for section in ("parties", "never", "holds", "disclosures", "staff", "mails", "guards", "promises"):
            for name, rule in getattr(self, section).items():
                yield (section, name), rule

    def holders_of(self, part: str) -> frozenset[str]:
        """The services that may have the part, open or sealed."""
        return frozenset(hold.service for hold in self.holds.values() if hold.part == part)

    def openers_of(self, part: str) -> frozenset[str]:
        """The services that may read the part."""
        return frozenset(hold.service for hold in self.holds.values() if hold.part == part and hold.opens)

    def clauses_awaiting(self) -> tuple[ClauseNumber, ...]:
        """The clauses whose rules lean on pending checks alone: nothing would see them broken today."""
        watched = {number for _, rule in self.rules() if set(rule.checks) - set(self.pending) for number in rule.clauses}
        return tuple(number for number, clause in self.clauses.items() if clause.declined is None and number not in watched)

    def clauses_in_part(self) -> tuple[ClauseNumber, ...]:
        """The clauses that some check watches today while another is still pending."""
        lacking = {number for _, rule in self.rules() if set(rule.checks) & set(self.pending) for number in rule.clauses}
        return tuple(number for number in self.clauses if number in lacking - set(self.clauses_awaiting()))

    def pending_checks(self) -> dict[str, list[str]]:
        """Each pending check with the rules that lean on it."""
        leaning: dict[str, list[str]] = {name: [] for name in self.pending}
        for place, rule in self.rules():
            for name in rule.checks:
                if name in leaning:
                    leaning[name].append(".".join(place))
        return leaning
