"""The personal members of the models, as Python: the forms of the parts, and what each event's model has of a person.

They are written by `brownpaper privacy compile` and stand in the repository, so that types are checked and a reader finds them; the policy is
where they are changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from shared.contracts.storefront import EVENT_FORMS
from shared.policy.document import Part, Policy

STOREFRONT_FILE: Final = "shared/contracts/storefront/personal.py"
INTERNAL_FILE: Final = "shared/contracts/personal.py"

OR_NONE: Final = "_or_none"
"""What ends the grammar of a member that may be left out."""
WORDS: Final[Mapping[str, str]] = {"text": "str", "whole_number": "int", "time": "datetime"}
"""How a member of an internal event can be written → its type; the storefront's are the kinds of `storefront/forms.py`."""
_WRITTEN: Final = "Compiled from the policy, and changed there."


def compile_models(policy: Policy) -> dict[str, str]:
    """Path in the repository → the text of the module; the same policy gives the same texts."""
    return {STOREFRONT_FILE: _storefront(policy), INTERNAL_FILE: _internal(policy)}


def kind_of(grammar: str) -> str:
    """The name in `storefront/forms.py` of a kind as the policy writes it: `address_line_or_none` is `AddressLine`."""
    return "".join(word.capitalize() for word in grammar.removesuffix(OR_NONE).split("_"))


def model_name(event: str) -> str:
    """The name of an event's model by its name on the wire: `label_created` is `LabelCreated`."""
    return "".join(word.capitalize() for word in event.split("_"))


# ── the storefront's ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _storefront(policy: Policy) -> str:
    parts = {name: part for name, part in policy.parts.items() if part.sealed}
    classes: dict[str, list[str]] = {}
    for name, part in parts.items():
        for group in part.groups:
            classes.setdefault(kind_of(group), _group(part, group))
        classes[kind_of(name)] = _form(name, part)
    for model, members in policy.messages.storefront.items():
        told = [_member(name, grammar) for its in members.values() for name, grammar in its.items()]
        classes[model] = _class(f"Personal{model}", "Form", _of_a_person(model), told)
    body = [line for lines in classes.values() for line in ["", "", *lines]]
    kinds = {kind_of(grammar) for _, grammar in storefront_grammars(policy)}
    return _text(
        f'"""The storefront\'s personal parts, and what its events have of a person. {_WRITTEN}"""',
        "",
        "from __future__ import annotations",
        "",
        "from typing import Annotated, Final",
        "",
        "from shared.contracts.storefront.forms import (",
        *(f"    {name}," for name in sorted({"Form", "NotNull", "Several", *kinds})),
        ")",
        *body,
        "",
        "",
        f"ClearPart = {' | '.join(map(kind_of, parts))}",
        "",
        "PART_FORMS: Final[dict[str, type[ClearPart]]] = {",
        *(f'    "{name}": {kind_of(name)},' for name in parts),
        "}",
        '"""The personal parts and their forms."""',
        "",
        "PART_SERVICES: Final[dict[str, str]] = {",
        *(f'    "{name}": "{service}",' for name in parts for service in sorted(policy.openers_of(name))),
        "}",
        '"""The one service that each part is for."""',
        "",
        "PARTS_OF_EVENT: Final[dict[str, tuple[str, ...]]] = {",
        *_by_event({name: part.events for name, part in parts.items()}),
        "}",
        '"""The parts that an event may have, by its type."""',
        "",
        "PARTS_NEEDED: Final[dict[str, tuple[str, ...]]] = {",
        *_by_event({name: [it for it in part.events if it not in part.may_lack_in] for name, part in parts.items()}),
        "}",
        '"""Those of them without which it is not taken."""',
    )


def storefront_grammars(policy: Policy) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path in the policy, grammar) of every member that the storefront writes."""
    for name, part in policy.parts.items():
        for field, its in part.fields.items():
            if its.grammar is not None:
                yield ("parts", name, "fields", field), its.grammar
    for model, parts in policy.messages.storefront.items():
        for name, members in parts.items():
            for member, grammar in members.items():
                yield ("messages", "storefront", model, name, member), grammar


def _form(name: str, part: Part) -> list[str]:
    members: dict[str, str] = {}
    for field, its in part.fields.items():
        group, dot, _ = field.rpartition(".")
        if not dot:
            members[field] = _member(field, its.grammar or "", its.default)
        elif part.groups[group].several:
            members[group] = f"{group}: Several[{kind_of(group)}] = ()"
        else:
            members[group] = f"{group}: {kind_of(group)}"
    return _class(kind_of(name), "Form", part.statement, members.values())


def _group(part: Part, group: str) -> list[str]:
    fields = {field.removeprefix(f"{group}."): its for field, its in part.fields.items() if field.startswith(f"{group}.")}
    members = [_member(field, its.grammar or "", its.default) for field, its in fields.items()]
    return _class(kind_of(group), "Form", part.groups[group].statement, members)


def _member(name: str, grammar: str, default: str | None = None) -> str:
    if default is not None:
        return f'{name}: {kind_of(grammar)} = "{default}"'
    if grammar.endswith(OR_NONE):
        return f"{name}: Annotated[{kind_of(grammar)} | None, NotNull] = None"
    return f"{name}: {kind_of(grammar)}"


def _by_event(events: Mapping[str, Iterable[str]]) -> list[str]:
    """part → its events, turned round: a line for each of the storefront's events that has one."""
    parts: dict[str, list[str]] = {}
    for part, its in events.items():
        for event in its:
            if event in EVENT_FORMS:
                parts.setdefault(event, []).append(f'"{part}"')
    return [f"    {chr(34)}{event}{chr(34)}: ({', '.join(its)}{',' if len(its) == 1 else ''})," for event, its in parts.items()]


# ── our own events' ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def _internal(policy: Policy) -> str:
    members = {
        model: [_word(name, grammar) for its in parts.values() for name, grammar in its.items()]
        for model, parts in policy.messages.internal.items()
    }
    for name, part in policy.parts.items():
        for event in part.events if part.sealed else ():
            if event not in EVENT_FORMS:
                box = f"{name}: SealedBox | None = None" if event in part.may_lack_in else f"{name}: SealedBox"
                members.setdefault(model_name(event), []).append(box)
    classes = [_class(f"Personal{model}", "Word", _of_a_person(model), its) for model, its in members.items()]
    return _text(
        f'"""What the internal events have of a person: boxes and pseudonyms. {_WRITTEN}"""',
        "",
        "from __future__ import annotations",
        "",
        "from datetime import datetime",
        "",
        "from shared.contracts.frozen import SealedBox, Word",
        *(line for lines in classes for line in ["", "", *lines]),
    )


def _word(name: str, grammar: str) -> str:
    kind = WORDS[grammar.removesuffix(OR_NONE)]
    return f"{name}: {kind} | None = None" if grammar.endswith(OR_NONE) else f"{name}: {kind}"


# ── both ─────────────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _of_a_person(model: str) -> str:
    return f"What `{model}` has of a person."


def _class(name: str, base: str, says: str, members: Iterable[str]) -> list[str]:
    return [f"class {name}({base}):", f'    """{says}"""', "", *(f"    {member}" for member in members)]


def _text(*lines: str) -> str:
    return "\n".join(lines) + "\n"
