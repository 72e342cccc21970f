"""JSON lines on standard output; a line of ours holds what `extra` names from a fixed list, a library's line only where and how bad.

A library's own text is never written: it may hold what it was working on (clause 63 of the policy; a validator's message quotes its
input, an HTTP client's its URL).
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

import orjson

from shared.policy import load

FIELDS = load().observed.log_fields
"""The fields that a log line may carry: ids, codes, counts and names of our own. The policy lists them."""


class JsonLines(logging.Formatter):
    """One JSON object a line, with the fields above and nothing else."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "service": self._service,
        }
        if record.name.partition(".")[0] == "brownpaper":
            line["message"] = record.msg
            line.update({name: value for name in FIELDS if (value := record.__dict__.get(name)) is not None})
        else:
            line["message"] = "library"
            line["logger"], line["place"] = record.name, f"{record.module}:{record.lineno}"
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            frames = traceback.extract_tb(record.exc_info[2])
            line["frames"] = [f"{frame.filename.rsplit('/', 2)[-1]}:{frame.lineno}" for frame in frames[-5:]]
        return orjson.dumps(line, option=orjson.OPT_UTC_Z, default=str).decode()


class _Batches:
    """Writes many lines of one kind at once: a batch says something of each message, and a write for each costs more than the saying."""

    service: str | None = None

    def write(self, level: str, message: str, lines: Iterable[Mapping[str, object]]) -> None:
        head = {"at": datetime.now(UTC), "level": level, "service": self.service, "message": message}
        told = (
            {**head, **{name: value for name, value in line.items() if name in _FIELDS and value is not None}} for line in lines
        )
        text = "".join(orjson.dumps(line, option=orjson.OPT_UTC_Z, default=str).decode() + "\n" for line in told)
        sys.stdout.write(text)
        sys.stdout.flush()


_FIELDS = frozenset(FIELDS)
_batches = _Batches()


def info_of_each(logger: logging.Logger, message: str, lines: Iterable[Mapping[str, object]]) -> None:
    """As `logger.info(message, extra=line)` for each line, in one write where this process is configured."""
    if not logger.isEnabledFor(logging.INFO):
        return
    if _batches.service is not None:
        _batches.write("info", message, lines)
        return
    for line in lines:
        logger.info(message, extra=dict(line))


def configure(service: str, level: str) -> None:
    """Send all loggers of this process through the formatter above."""
    _batches.service = service
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonLines(service))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("brownpaper").setLevel(level)
    logging.captureWarnings(True)
