"""Reading the policy file: every fault is named with its path and line, all at once."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import ValidationError

from shared.contracts.errors import BrownPaperError
from shared.policy.document import Policy
from shared.policy.fitness import unfitness
from shared.policy.soundness import unsoundness

POLICY_FILE: Final = Path(__file__).with_name("policy.yaml")
_Path = tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """One fault of the file: where it stands, a stable `code`, and what is wrong in words."""

    path: str
    line: int
    code: str
    said: str

    def __str__(self) -> str:
        return f"line {self.line}, {self.path}: {self.said} [{self.code}]"


class PolicyRefused(BrownPaperError):
    """The policy cannot be used. `faults` names every place."""

    def __init__(self, faults: list[Place]) -> None:
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def load(file: Path = POLICY_FILE, *, strict: bool = False, is_earlier: bool = False) -> Policy:
    """The policy in the file. Safe to repeat; a file is read once. `strict` refuses every check that is still pending.

    `is_earlier`: it was accepted before, maybe by an older release, and only has to be whole and fit together; what a release asks of the
    policy in force is not asked of it.

    Raises `PolicyRefused` with every fault, and OSError where it cannot be read.
    """
    return _load(file, strict, is_earlier)


def load_text(text: str, *, strict: bool = False, is_earlier: bool = False) -> Policy:
    """The same from a text."""
    lines: dict[_Path, int] = {}
    faults: list[Place] = []
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyRefused([Place("", line, "not_yaml", "this is no YAML")]) from None
    data = _plain(node, (), lines, faults) if node is not None else None
    try:
        policy = Policy.model_validate(data)
    except ValidationError as error:
        raise PolicyRefused([*faults, *_misshapen(error, lines)]) from None
    found = [*unsoundness(policy, strict=strict), *(() if is_earlier else unfitness(policy))]
    faults += [Place(".".join(map(str, path)), _line(path, lines), code, said) for path, code, said in found]
    if faults:
        raise PolicyRefused(sorted(faults, key=lambda fault: (fault.line, fault.path, fault.code)))
    return policy


@functools.cache
def _load(file: Path, strict: bool, is_earlier: bool) -> Policy:
    return load_text(file.read_text("utf-8"), strict=strict, is_earlier=is_earlier)


def _plain(node: yaml.Node, path: _Path, lines: dict[_Path, int], faults: list[Place]) -> Any:
    """The node as plain values, its lines noted by path. A name that stands twice is a fault: YAML would let the second one win."""
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        values: dict[Any, Any] = {}
        named: set[str] = set()
        for key_node, value_node in node.value:
            key = _scalar(key_node)
            here = (*path, key)
            if str(key) in named:  # 1 and "1" are one name to whoever reads the file
                line = key_node.start_mark.line + 1
                faults.append(Place(".".join(map(str, here)), line, "named_twice", "this name stands here already"))
            named.add(str(key))
            values[key] = _plain(value_node, here, lines, faults)
            lines[here] = key_node.start_mark.line + 1
        return values
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, (*path, index), lines, faults) for index, item in enumerate(node.value)]
    return _scalar(node)


def _scalar(node: yaml.Node) -> str | int | bool | None:
    """A text, a whole number, a truth or nothing; everything else that YAML would guess (a date, an octal) stays the text it is."""
    text = str(node.value)
    match node.tag:
        case "tag:yaml.org,2002:int" if text.isdecimal():
            return int(text)
        case "tag:yaml.org,2002:bool":
            return text.lower() in {"true", "yes", "on"}
        case "tag:yaml.org,2002:null":
            return None
        case _:
            return text


def _misshapen(error: ValidationError, lines: Mapping[_Path, int]) -> Iterator[Place]:
    for fault in error.errors(include_input=False, include_context=False, include_url=False):
        path = tuple(fault["loc"])
        yield Place(".".join(map(str, path)), _line(path, lines), fault["type"], fault["msg"])


def _line(path: _Path, lines: Mapping[_Path, int]) -> int:
    """The line of the place, or of the nearest place above it that the file has."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)
