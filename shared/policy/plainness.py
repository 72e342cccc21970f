"""Whether what the policy calls plain is plain: no field of a person's part, and no datum that has no place here, under its own name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from shared.policy.document import Policy

Path = tuple[str | int, ...]
Found = tuple[Path, str, str]


def personal_among_plain(policy: Policy) -> Iterator[Found]:
    """Every (path, code, words) where a personal datum's name stands among the plain ones, and every column that is two things."""
    yield from _columns(policy)
    for name, call in policy.disclosures.items():
        for member, words in (("query", call.query), ("headers", call.headers)):
            yield from _called_personal(policy, words, ("disclosures", name, member), pseudonyms=True)
    told = policy.canaries.pseudonymous_places
    yield from _called_personal(policy, policy.observed.log_fields, ("observed", "log_fields"), pseudonyms="logs" not in told)
    for metric, labels in policy.observed.metric_labels.items():
        path = ("observed", "metric_labels", metric)
        yield from _called_personal(policy, labels, path, pseudonyms="metrics" not in told)


def _columns(policy: Policy) -> Iterator[Found]:
    alike = set(policy.databases.called_alike)
    for set_of_tables, tables in policy.databases.tables.items():
        for name, table in tables.items():
            path: Path = ("databases", "tables", set_of_tables, name)
            for column, times in Counter([*table.sealed, *table.pseudonymous, *table.plain]).items():
                if times > 1:
                    yield (*path, column), "column_twice", f"`{column}` stands here more than once"
            told = {f"{set_of_tables}.{name}.{column}": column for column in table.plain}
            yield from _called_personal(
                policy, (column for place, column in told.items() if place not in alike), (*path, "plain"), pseudonyms=True
            )
            alike -= set(told)
    for place in sorted(alike):
        yield ("databases", "called_alike", place), "column_unknown", f"there is no plain column `{place}`"


def _called_personal(policy: Policy, words: Iterable[str], path: Path, *, pseudonyms: bool) -> Iterator[Found]:
    """Those of `words` that are a personal field's name; `pseudonyms` says whether fields that are not sealed count."""
    personal = set(_personal_names(policy, pseudonyms=pseudonyms))
    for word in words:
        if word.casefold().replace("-", "_") in personal:
            yield path, "personal_as_plain", f"`{word}` is called like a person's datum"


def _personal_names(policy: Policy, *, pseudonyms: bool) -> Iterator[str]:
    for part in policy.parts.values():
        for field in part.fields if part.sealed or pseudonyms else ():
            yield field
            yield field.replace(".", "_")
            yield field.rpartition(".")[2]
    for never in policy.never.values():
        yield from never.names
