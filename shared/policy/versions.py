"""The policy versions that are known side by side: each decides for what was collected under it (clause 56).

The version in force of a release is `policy.yaml`. Older and coming ones stand beside it, each in a file of its own that is named by its
version, in `shared/policy/versions` and in a folder that the settings may name. They were accepted when they came: a later release only
wants them whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Final

from shared.contracts.errors import BrownPaperError
from shared.policy.document import Policy
from shared.policy.loading import load

VERSIONS_FOLDER: Final = Path(__file__).with_name("versions")


class VersionsRefused(BrownPaperError):
    """A file of a version is not what its name says. The message names the file and the versions only."""


def load_versions(folder: Path | None = None) -> dict[str, Policy]:
    """Version → policy, the oldest first. Safe to repeat; a file is read once.

    Raises `PolicyRefused` for a file that is no whole policy, and `VersionsRefused` where a file's name is not its version, a version is no
    date, or two files of one version differ.
    """
    policies: list[tuple[Path | None, Policy]] = [(None, load()), *_beside(VERSIONS_FOLDER)]
    if folder is not None:
        policies += _beside(folder)
    found: dict[str, Policy] = {}
    for file, policy in policies:
        if file is not None and file.stem != policy.version:
            raise VersionsRefused(f"{file.name} holds the version {policy.version}")
        if found.setdefault(policy.version, policy) != policy:
            raise VersionsRefused(f"there are two policies of the version {policy.version}")
    for version in found:
        date_of(version)
    return dict(sorted(found.items()))


def date_of(version: str) -> date:
    """The day from which a version counts. Raises `VersionsRefused` where it is no date (clause 62)."""
    try:
        day = date.fromisoformat(version)
    except ValueError:
        day = None
    if day is None or day.isoformat() != version:
        raise VersionsRefused(f"the version {version!r} is no date")
    return day


def _beside(folder: Path) -> Iterator[tuple[Path, Policy]]:
    for file in sorted(folder.glob("*.yaml")) if folder.is_dir() else ():
        yield file, load(file, is_earlier=True)  # a coming one is judged when it is published
