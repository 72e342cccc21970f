"""How the tables are made, as the schema files leave them: each column's type and what is worked out, constraints, triggers, functions.

The policy says what may be in a column; what a table keeps true by itself is its schema files' to say, and PostgreSQL's to write down.
`shape.json` is that, read from a fresh server by `brownpaper privacy shape`; a live server is held against it by a digest of each text, so that
a difference names what was changed and shows nothing of it.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Final

SHAPE_FILE: Final = Path(__file__).with_name("shape.json")
Made = Mapping[str, Mapping[str, str]]
"""table → a rule of it (`column state`, `constraint orders_pkey`, `trigger …`, `function …`) → its text in PostgreSQL's own words."""


@functools.cache
def written_down() -> Mapping[str, Made]:
    """Set of tables → table → what it is made of. Raises OSError and ValueError where the file cannot be read."""
    shape: Mapping[str, Made] = json.loads(SHAPE_FILE.read_text("utf-8"))
    return shape


def mark(text: str | None) -> str:
    """What stands for a text in a comparison: the same for the same text, and telling nothing of it."""
    return "not written down" if text is None else f"made as {hashlib.sha256(text.encode()).hexdigest()[:12]}"
