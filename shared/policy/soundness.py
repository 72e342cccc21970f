"""Whether the policy is whole and fits together: each clause kept or declined, each field ruled, each rule checked, each name known."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Iterator
from typing import Final

from shared.contracts.events import EVENTS
from shared.contracts.storefront import EVENT_FORMS, KINDS
from shared.policy.compile_models import OR_NONE, WORDS, kind_of, storefront_grammars
from shared.policy.document import Hold, Policy, StaffGrant
from shared.policy.taxonomy import DATA_CATEGORIES, DATA_USES

CLAUSES: Final = range(1, 64)
DECLINABLE: Final = frozenset({17, 18, 19, 23, 24, 40})
"""The clauses that may be declined with a reason: cookies and advertising, surveys, links to other sites."""

Path = tuple[str | int, ...]
Found = tuple[Path, str, str]


def unsoundness(policy: Policy, *, strict: bool = False) -> Iterator[Found]:
    """Every (path, code, words) that is wrong with a policy of the right shape, whenever it is read."""
    yield from _clauses(policy)
    yield from _rules(policy)
    yield from _checks(policy, strict=strict)
    yield from _parts(policy)
    yield from _holds(policy)
    yield from _disclosures(policy)
    yield from _staff_and_mails(policy)
    yield from _servers(policy)
    yield from _models(policy)
    yield from _observed(policy)


def known_events(policy: Policy) -> frozenset[str]:
    """Every event that a rule may name: internal ones, the storefront's, and those that are agreed and still to come."""
    return frozenset({*EVENTS, *EVENT_FORMS, *policy.later_events})


def _unknown(what: str, name: str, known: Container[str], path: Path) -> Iterator[Found]:
    if name not in known:
        yield path, f"{what}_unknown", f"there is no {what} `{name}`"


def _clauses(policy: Policy) -> Iterator[Found]:
    ruled = {number for _, rule in policy.rules() for number in rule.clauses}
    for number in CLAUSES:
        clause = policy.clauses.get(number)
        if clause is None:
            yield ("clauses",), "clause_missing", f"clause {number} is not here"
        elif clause.declined is None and number not in ruled:
            yield ("clauses", number), "clause_without_rule", "neither a rule nor a reason why none applies"
        elif clause.declined is not None and number not in DECLINABLE:
            yield ("clauses", number), "clause_undeclinable", "this clause may not be declined"
        elif clause.declined is not None and number in ruled:
            yield ("clauses", number), "clause_declined_and_ruled", "a reason why no rule applies, and a rule"
    for number in policy.clauses:
        if number not in CLAUSES:
            yield ("clauses", number), "clause_unknown", f"the policy has clauses {CLAUSES[0]} to {CLAUSES[-1]}"


def _rules(policy: Policy) -> Iterator[Found]:
    checks = {*policy.checks, *policy.pending}
    for place, rule in policy.rules():
        if not rule.checks:
            yield place, "rule_without_check", "nothing would see it broken"
        if not rule.clauses and not rule.addenda:
            yield place, "rule_without_clause", "it serves no clause and no addendum"
        for name in rule.checks:
            yield from _unknown("check", name, checks, (*place, "checks"))
        yield from _numbers(policy, rule.clauses, place)
        for name in rule.addenda:
            yield from _unknown("addendum", name, policy.addenda, (*place, "addenda"))
    for name, purpose in policy.purposes.items():
        path: Path = ("purposes", name)
        yield from _unknown("use", purpose.use, DATA_USES, (*path, "use"))
        yield from _numbers(policy, purpose.clauses, path)
        for addendum in purpose.addenda:
            yield from _unknown("addendum", addendum, policy.addenda, (*path, "addenda"))
        if not purpose.clauses and not purpose.addenda:
            yield path, "purpose_without_clause", "no clause and no addendum allows it"


def _numbers(policy: Policy, numbers: Iterable[int], path: Path) -> Iterator[Found]:
    for number in numbers:
        if number not in policy.clauses:
            yield (*path, "clauses"), "clause_unknown", f"there is no clause {number}"


def _checks(policy: Policy, *, strict: bool) -> Iterator[Found]:
    used = Counter(name for _, rule in policy.rules() for name in rule.checks)
    for name, check in policy.checks.items():
        if name in policy.pending:
            yield ("checks", name), "check_twice", "it is done and pending"
        if sum(kind is not None for kind in (check.test, check.compiled, check.live)) != 1:
            yield ("checks", name), "check_unclear", "a check is one of `test`, `compiled` and `live`"
        if not used[name]:
            yield ("checks", name), "check_unused", "no rule leans on it"
    for name, pending in policy.pending.items():
        if not used[name]:
            yield ("pending", name), "check_unused", "no rule leans on it"
        if strict:
            yield ("pending", name), "check_pending", f"it awaits: {pending.awaits}"


def _parts(policy: Policy) -> Iterator[Found]:
    events = known_events(policy)
    for name, part in policy.parts.items():
        held = {field for hold in policy.holds.values() if hold.part == name for field in hold.fields}
        for field, told in part.fields.items():
            path = ("parts", name, "fields", field)
            yield from _unknown("category", told.category, DATA_CATEGORIES, path)
            if field not in held:
                yield path, "field_without_rule", "no service may hold it, so it may not be taken"
        for event in part.events:
            yield from _unknown("event", event, events, ("parts", name, "events"))
        for event in part.may_lack_in:
            yield from _unknown("event", event, part.events, ("parts", name, "may_lack_in"))
    for name, never in policy.never.items():
        yield from _unknown("category", never.category, DATA_CATEGORIES, ("never", name, "category"))


def _chosen(policy: Policy, chosen: Hold | StaffGrant, path: Path) -> Iterator[Found]:
    yield from _unknown("service", chosen.service, policy.services, (*path, "service"))
    yield from _unknown("purpose", chosen.purpose, policy.purposes, (*path, "purpose"))
    if chosen.part not in policy.parts:
        yield (*path, "part"), "part_unknown", f"there is no part `{chosen.part}`"
    else:
        for field in chosen.fields:
            yield from _unknown("field", field, policy.parts[chosen.part].fields, (*path, "fields"))


def _holds(policy: Policy) -> Iterator[Found]:
    events = known_events(policy)
    for name, hold in policy.holds.items():
        path: Path = ("holds", name)
        yield from _chosen(policy, hold, path)
        if hold.retention is None:
            yield path, "hold_without_retention", "nobody says when it ends"
            continue
        until: Path = (*path, "retention")
        for event in hold.retention.after:
            yield from _unknown("event", event, events, (*until, "after"))
        yield from _unknown("addendum", hold.retention.addendum, policy.addenda, (*until, "addendum"))
        if hold.retention.waits is not None:
            yield from _unknown("addendum", hold.retention.waits.addendum, policy.addenda, (*until, "waits", "addendum"))
        if (hold.retention.days is None) is not (hold.retention.action == "keep"):
            yield until, "retention_unclear", "what is kept has no days, and what ends has some"
        if (
            hold.retention.days is None
            and hold.form == "as_it_is"
            and hold.part in policy.parts
            and policy.parts[hold.part].sealed
        ):
            yield until, "retention_without_end", "what shows a person ends"


def open_for(policy: Policy, service: str, part: str, purpose: str) -> set[str]:
    """The fields of a part that a service may read for a purpose."""
    return {
        field
        for hold in policy.holds.values()
        if (hold.service, hold.part, hold.purpose) == (service, part, purpose) and hold.opens and hold.part in policy.parts
        for field in hold.fields
    }


def split(field: str) -> tuple[str, str]:
    """(part, field) of `part.field`."""
    part, _, rest = field.partition(".")
    return part, rest


def _disclosures(policy: Policy) -> Iterator[Found]:
    for name, call in policy.disclosures.items():
        path: Path = ("disclosures", name)
        yield from _unknown("service", call.by, policy.services, (*path, "by"))
        yield from _unknown("party", call.to, policy.parties, (*path, "to"))
        yield from _unknown("purpose", call.purpose, policy.purposes, (*path, "purpose"))
        in_path = [piece.partition("}")[0] for piece in call.path.split("{")[1:]]
        told = [((*path, "personal", place), field) for place, fields in call.personal.items() for field in fields]
        for where, disclosed in [*told, *(((*path, "path"), field) for field in in_path)]:
            part, field = split(disclosed)
            if part not in policy.parts:
                yield where, "part_unknown", f"there is no part `{part}`"
            elif field not in policy.parts[part].fields:
                yield where, "disclosed_outside_part", f"`{field}` is no field of `{part}`"
            elif field not in open_for(policy, call.by, part, call.purpose):
                yield where, "disclosed_unheld", f"{call.by} may not read `{disclosed}` for `{call.purpose}`"
        for place in set(call.personal) & set(call.plain):
            yield (*path, "plain"), "place_twice", f"`{place}` is personal and plain"
    for name in policy.parties:
        if not any(call.to == name for call in policy.disclosures.values()) and policy.parties[name].secondary_use == "forbidden":
            yield ("parties", name), "party_without_disclosure", "nothing is ever given to it"


def _staff_and_mails(policy: Policy) -> Iterator[Found]:
    for name, grant in policy.staff.items():
        path: Path = ("staff", name)
        yield from _unknown("role", grant.role, policy.roles, (*path, "role"))
        yield from _chosen(policy, grant, path)
        if grant.part in policy.parts:
            readable = open_for(policy, grant.service, grant.part, grant.purpose)
            for field in sorted(set(grant.fields) & set(policy.parts[grant.part].fields) - readable):
                yield (*path, "fields"), "seen_unheld", f"{grant.service} may not read `{field}` for `{grant.purpose}`"
    for role in policy.roles:
        if not any(grant.role == role for grant in policy.staff.values()):
            yield ("roles", role), "role_without_grant", "it may see nothing, so it is no role"
    for name, mails in policy.mails.items():
        path = ("mails", name)
        yield from _unknown("purpose", mails.purpose, policy.purposes, (*path, "purpose"))
        yield from _unknown("part", mails.part, policy.parts, (*path, "part"))
        for field in mails.fields if mails.part in policy.parts else ():
            yield from _unknown("field", field, policy.parts[mails.part].fields, (*path, "fields"))
        if mails.promotional and not (mails.needs_consent and mails.carries_way_out):
            yield path, "promotion_unasked", "a promotion needs consent and shows the way out"


def _servers(policy: Policy) -> Iterator[Found]:
    for name, user in policy.broker.users.items():
        path: Path = ("broker", "users", name)
        if (user.service is None) is (user.party is None):
            yield path, "user_unclear", "a user is a service's or a party's"
        if user.service is not None:
            yield from _unknown("service", user.service, policy.services, path)
        if user.party is not None:
            yield from _unknown("party", user.party, policy.parties, path)
    for name, database in policy.databases.databases.items():
        path = ("databases", "databases", name)
        yield from _unknown("service", database.service, policy.services, (*path, "service"))
        yield from _unknown("tables", database.tables, policy.databases.tables, (*path, "tables"))
        for table, columns in policy.databases.tables.get(database.tables, {}).items():
            for column in set(columns.with_boxes) - set(columns.pseudonymous):
                yield from _unknown("column", column, (), ("databases", "tables", database.tables, table, "with_boxes"))
            for column, part in {**columns.sealed, **columns.pseudonymous}.items():
                where = ("databases", "tables", database.tables, table, column)
                if part not in policy.parts:
                    yield where, "part_unknown", f"there is no part `{part}`"
                elif database.service not in policy.holders_of(part):
                    yield where, "stored_unheld", f"{database.service} may not hold `{part}`"
                elif policy.parts[part].sealed is not (column in columns.sealed):
                    yield where, "stored_in_another_form", f"`{part}` is {'' if policy.parts[part].sealed else 'not '}sealed"


def _models(policy: Policy) -> Iterator[Found]:
    """Everything that a model is made of is known: groups of fields, kinds of members, the parts they belong to."""
    groups: dict[str, object] = {}
    for name, part in policy.parts.items():
        for group, its in part.groups.items():
            # One class is compiled for all parts that have the group.
            made_of = (its, {field: told.grammar for field, told in part.fields.items() if field.startswith(f"{group}.")})
            if groups.setdefault(group, made_of) != made_of:
                yield ("parts", name, "groups", group), "group_unclear", "another part's group of this name is made otherwise"
        for field, told in part.fields.items():
            path: Path = ("parts", name, "fields", field)
            group, dot, _ = field.rpartition(".")
            if dot and part.sealed:
                yield from _unknown("group", group, part.groups, path)
            if part.sealed and told.grammar is None:
                yield path, "grammar_missing", "nobody says how it is written"
            if told.default is not None and not (told.grammar or "").endswith(OR_NONE):
                yield path, "default_unclear", "only what may be left out has a default"
    for path, grammar in storefront_grammars(policy):
        yield from _unknown("grammar", kind_of(grammar), KINDS, path)
    for section, models in (("storefront", policy.messages.storefront), ("internal", policy.messages.internal)):
        for model, parts in models.items():
            for part_name, members in parts.items():
                path = ("messages", section, model, part_name)
                yield from _unknown("part", part_name, policy.parts, path)
                for member, grammar in members.items() if section == "internal" else ():
                    yield from _unknown("grammar", grammar.removesuffix(OR_NONE), WORDS, (*path, member))


def _observed(policy: Policy) -> Iterator[Found]:
    for place in policy.canaries.pseudonymous_places:
        yield from _unknown("place", place, policy.canaries.places, ("canaries", "pseudonymous_places"))
