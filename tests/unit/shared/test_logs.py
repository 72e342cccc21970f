"""A log line holds what our own lists name; never what a library or an error has to say, at no level and in no way of saying it."""

from __future__ import annotations

import ast
import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shared import logs

ROOT = Path(__file__).resolve().parents[3]
CANARY = "canary-Zoë-Nováková"


class Lines:
    """The lines that a logger's handler wrote."""

    def __init__(self) -> None:
        self.stream = io.StringIO()
        self.handler = logging.StreamHandler(self.stream)
        self.handler.setFormatter(logs.JsonLines("payments"))
        # In a whole run other threads of this process may be at work, such as a crew that follows a stack until the end of the session.
        ours = threading.get_ident()
        self.handler.addFilter(lambda record: record.thread == ours)

    def read(self) -> list[dict[str, Any]]:
        assert "canary" not in self.stream.getvalue()
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def lines() -> Iterator[Lines]:
    written, root = Lines(), logging.getLogger()
    before = root.level
    root.addHandler(written.handler)
    root.setLevel(logging.DEBUG)
    yield written
    root.setLevel(before)
    root.removeHandler(written.handler)


class LibraryError(Exception):
    pass


def failing() -> None:
    secret = CANARY  # a local, as tracebacks of some formatters show them
    raise LibraryError(f"could not send to {secret}") from ValueError(CANARY)


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL])
@pytest.mark.parametrize(
    "name", ["urllib3.connectionpool", "psycopg", "nameko.containers", "py.warnings", "shared.http_client", "root"]
)
def test_a_library_s_words_are_not_written(lines: Lines, name: str, level: int) -> None:
    logger = logging.getLogger(name)
    before = logger.level
    logger.setLevel(logging.DEBUG)
    logger.log(level, f"GET /{CANARY}")
    logger.log(level, "GET /%s", CANARY)
    logger.log(level, "%(where)s", {"where": CANARY})
    logger.log(level, CANARY, extra={"order_number": CANARY, "code": CANARY}, stack_info=True)
    logger.setLevel(before)
    written = lines.read()
    assert [line["message"] for line in written] == ["library"] * 4
    assert {line["logger"] for line in written} == {name}
    assert {frozenset(line) for line in written} == {frozenset({"at", "level", "service", "message", "logger", "place"})}


@pytest.mark.parametrize("name", ["brownpaper.delivery", "urllib3"])
def test_an_error_s_text_is_not_written_only_its_class_and_its_places(
    lines: Lines, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    logger = logging.getLogger(name)
    monkeypatch.setattr(logger, "level", logging.DEBUG)
    monkeypatch.setattr(logger, "_cache", {})
    try:
        failing()
    except LibraryError:
        logger.exception("call_failed")
        logger.debug("call_failed", exc_info=True)
    for line in lines.read():
        assert line["error"] == "LibraryError"
        assert all(frame.startswith("test_logs.py:") for frame in line["frames"])
        assert len(line["frames"]) == 2


def test_exc_info_without_an_error_is_harmless(lines: Lines) -> None:
    logging.getLogger("brownpaper.delivery").error("handled", exc_info=True)
    [line] = lines.read()
    assert "error" not in line


def test_our_own_line_holds_its_word_and_what_the_list_names(lines: Lines) -> None:
    extra = {"order_number": "SH-1", "tries": 0, "code": None, "e_mail": CANARY, "recipient": {"name": CANARY}}
    logging.getLogger("brownpaper.delivery").error("handled", extra=extra)
    [line] = lines.read()
    assert line.pop("at").endswith("Z")
    assert line == {"level": "error", "service": "payments", "message": "handled", "order_number": "SH-1", "tries": 0}


def test_arguments_of_our_own_line_are_not_put_into_it(lines: Lines) -> None:
    logging.getLogger("brownpaper.delivery").error("sent to %s", CANARY)
    assert lines.read()[0]["message"] == "sent to %s"


def test_no_field_is_named_like_a_personal_datum() -> None:
    personal = {"name", "email", "phone", "address_line", "recipient", "contact", "billing", "body", "message", "value", "url"}
    assert not personal & set(logs.FIELDS)
    assert len(set(logs.FIELDS)) == len(logs.FIELDS)


def test_a_line_is_one_line(lines: Lines) -> None:
    logging.getLogger("brownpaper.delivery").error("handled", extra={"code": "a\nb"})
    assert lines.stream.getvalue().count("\n") == 1


def test_configure_takes_over_the_process_s_loggers_and_its_warnings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    before, ours = root.level, logging.getLogger("brownpaper").level
    try:
        logs.configure("orders", "INFO")
        logging.getLogger("brownpaper.delivery").setLevel(logging.NOTSET)
        logging.getLogger("brownpaper.delivery").info("handled")
        logging.getLogger("brownpaper.delivery").debug("handled")
        logging.getLogger("urllib3.connectionpool").warning(CANARY)
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn(CANARY, stacklevel=1)
    finally:
        logging.captureWarnings(False)
        root.setLevel(before)
        logging.getLogger("brownpaper").setLevel(ours)
    out, err = capsys.readouterr()
    assert "canary" not in out + err
    assert next(json.loads(line)["message"] for line in out.splitlines()) == "handled"
    assert out.count('"handled"') == 1, "what is below the level is not written"


# ── the lines that our own rooms write ───────────────────────────────────────────────────────────────────────────────────────

LEVELS = {"debug", "info", "warning", "error", "critical", "exception", "log"}


def log_calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of a logger of ours: loggers are named `_log` or `log` at the head of their module."""
    for path in sorted([*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]):
        if "cli" in path.relative_to(ROOT).parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in LEVELS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"_log", "log", "logger", "logging"}
            ):
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def many_calls() -> Iterator[tuple[str, ast.Call]]:
    """Every call of `info_of_each`, which logs many lines of one word."""
    for path in sorted([*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "info_of_each":
                yield f"{path.relative_to(ROOT)}:{node.lineno}", node


def test_what_is_logged_of_many_is_a_fixed_word_with_fields_of_the_list() -> None:
    found = list(many_calls())
    assert found, "a batch tells of each message"
    for place, call in found:
        _, message, lines = call.args
        assert isinstance(message, ast.Constant), f"{place}: the word is made up at run time"
        assert isinstance(lines, ast.GeneratorExp), place
        assert isinstance(lines.elt, ast.Dict), place
        assert {key.value for key in lines.elt.keys if isinstance(key, ast.Constant)} <= set(logs.FIELDS), place


def test_many_lines_are_as_one_each_and_drop_what_is_no_field(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before, ours = root.level, logging.getLogger("brownpaper").level
    try:
        logs.configure("payments", "INFO")
        logger = logging.getLogger("brownpaper.test")
        logs.info_of_each(logger, "handled", ({"type": kind, "code": None, "name": CANARY} for kind in ("a", "b")))
        logger.info("handled", extra={"type": "c", "code": None, "canary": CANARY})
        logging.getLogger("brownpaper").setLevel(logging.WARNING)
        logs.info_of_each(logger, "handled", [{"type": "d"}])
    finally:
        root.setLevel(before)
        logging.getLogger("brownpaper").setLevel(ours)
    out, err = capsys.readouterr()
    assert CANARY not in out + err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["type"] for line in lines] == ["a", "b", "c"]
    assert len({frozenset(line) for line in lines}) == 1, "the same members, however it was written"


def test_what_our_rooms_log_is_a_fixed_word_with_fields_of_the_list() -> None:
    found = [(place, call) for place, call in log_calls() if not place.startswith("shared/logs.py")]
    assert len(found) > 8, "the rooms do log"
    for place, call in found:
        message = call.args[0]
        assert isinstance(message, ast.Constant), f"{place}: the word is made up at run time"
        for keyword in call.keywords:
            assert keyword.arg in {"extra", "exc_info"}, f"{place}: {keyword.arg}"
            if keyword.arg == "extra":
                assert isinstance(keyword.value, ast.Dict), place
                keys = {key.value for key in keyword.value.keys if isinstance(key, ast.Constant)}
                assert keys <= set(logs.FIELDS), f"{place}: {keys - set(logs.FIELDS)}"


def test_no_room_prints() -> None:
    for path in sorted([*(ROOT / "services").rglob("*.py"), *(ROOT / "shared").rglob("*.py")]):
        if "cli" in path.relative_to(ROOT).parts:
            continue
        calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
        assert not [call for call in calls if isinstance(call, ast.Name) and call.id in {"print", "pprint"}], path.name
