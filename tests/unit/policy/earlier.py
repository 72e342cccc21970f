"""Today's policy as the release before wrote it."""

from __future__ import annotations

import copy
from typing import Any

import yaml

from shared.policy import load

DATA: dict[str, Any] = load().model_dump(mode="json")
SETTINGS_SINCE = ("log_min_messages", "log_min_duration_sample", "session_replication_role", "shared_preload_libraries")
EARLIER = "2012-01-01"


def as_before(version: str = EARLIER) -> str:
    """Its text under this version: nothing waits, nobody says why a plain column is called like a person's field."""
    data = copy.deepcopy(DATA)
    data["version"] = data["text"]["last_modified"] = version
    for hold in data["holds"].values():
        del hold["retention"]["waits"]
    del data["databases"]["called_alike"]
    for name in SETTINGS_SINCE:
        del data["databases"]["settings"][name]
    text: str = yaml.dump(data, Dumper=yaml.CSafeDumper, sort_keys=False, allow_unicode=True)
    return text
