"""Settings, timelines, the report, the tally, and how the command ends."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from typer.testing import CliRunner

from shared.cli import settings as cli_settings
from shared.cli.answers import Answer
from shared.cli.books import Disagreement
from shared.cli.main import app
from shared.cli.orders import timeline
from shared.cli.play import expected
from shared.cli.progress import Picture
from shared.cli.report import Outcome, orders_per_second, percentile, rows, verdict, where_to_look
from shared.cli.tally import Tally
from shared.cli.terminal import Misused
from shared.cli.workers import Stillness

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


def event(number: str, event_id: str | None = None) -> dict[str, Any]:
    data = {
        "order_number": number,
        "total": "5.00",
        "currency": "GBP",
        "payment": {"provider": "paypal", "reference": f"P-{number}"},
    }
    return {"id": event_id or f"e-{number}", "data": data}


def answer(
    type_: str, number: str | None, seconds: float = 1, *, event_id: str = "", reasons: tuple[str, ...] = (), **data: Any
) -> Answer:
    return Answer(
        type_, START + timedelta(seconds=seconds), number, "https://shop.example", event_id or f"e-{number}", reasons, data
    )


# -- settings --------------------------------------------------------------------------------------


def test_the_nearest_run_file_is_read_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".run").mkdir()
    (tmp_path / ".run" / "env").write_text("# made by make up\nexport A=1\nB='two words'\n\nC=a=b\nD=\n")
    below = tmp_path / "x" / "y"
    below.mkdir(parents=True)
    assert dict(cli_settings.load(start=below, environment={"A": "9"})) == {"A": "9", "B": "two words", "C": "a=b"}


def test_everything_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(Misused, match="B, C") as refusal:
        cli_settings.Settings({"A": "1", "B": ""}).require("A", "B", "C")
    assert refusal.value.exit_code == 2


def test_a_broken_line_is_named_by_its_number_alone(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("A=1\nsecret-without-a-name\n")
    with pytest.raises(Misused, match="Line 2") as refusal:
        cli_settings.read_env_file(path)
    assert "secret" not in str(refusal.value)


# -- the tally -------------------------------------------------------------------------------------


def test_each_order_has_one_end_and_a_repeat_counts_once() -> None:
    tally = Tally()
    for number in "ABCDE":
        tally.published(event(number), START)
    tally.published(event("A"), START + timedelta(seconds=9))
    tally.heard(answer("order_accepted", "A"))
    tally.heard(answer("order_accepted", "A"))
    tally.heard(answer("shipment_dispatched", "A", 3, tracking_number="1Z"))
    tally.heard(answer("order_completed", "A", 5))
    tally.heard(answer("payment_declined", "B", reasons=("INSTRUMENT_DECLINED",)))
    tally.heard(answer("order_cancelled", "B"))
    tally.heard(answer("event_refused", None, event_id="e-C", reasons=("no_lines /data/lines",)))
    tally.heard(answer("order_rejected", "D"))
    tally.heard(answer("order_completed", "somebody else's"))
    assert tally.ends() == {"completed": 1, "cancelled": 1, "refused": 2}
    assert tally.on_the_way() == 1
    assert tally.counts() == {
        "published": 5,
        "order_accepted": 1,
        "shipment_dispatched": 1,
        "order_completed": 1,
        "payment_declined": 1,
        "order_cancelled": 1,
        "event_refused": 1,
        "order_rejected": 1,
    }
    assert tally.reasons()["event_refused"] == {"no_lines /data/lines": 1}
    assert tally.courses()[0].trackings == {"1Z"}
    assert tally.courses()[0].published_at == START


def test_a_refused_event_with_a_taken_number_leaves_the_first_order_alone() -> None:
    tally = Tally()
    tally.published(event("A", "first"), START)
    tally.published(event("A", "second"), START)
    tally.heard(answer("event_refused", "A", event_id="second"))
    first, second = tally.courses()
    assert (first.end, second.end) == (None, "refused")


# -- the report ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "share", "wanted"),
    [
        ([], 0.5, None),
        ([3.0], 0.99, 3.0),
        ([4.0, 1.0, 3.0, 2.0], 0.5, 2.0),
        (list(range(1, 201)), 0.99, 198),
        (list(range(1, 101)), 1.0, 100),
    ],
)
def test_percentiles_are_by_nearest_rank(values: list[float], share: float, wanted: float | None) -> None:
    assert percentile(values, share) == wanted


def outcome(**changes: Any) -> Outcome:
    tally = Tally()
    for number in "AB":
        tally.published(event(number), START)
        tally.heard(answer("shipment_dispatched", number, 2 if number == "A" else 4))
        tally.heard(answer("order_completed", number, 8))
    tally.published(event("R"), START)
    tally.heard(answer("order_rejected", "R", reasons=("lines_missing /data/lines",)))
    made: dict[str, Any] = {
        "courses": tally.courses(),
        "ends": tally.ends(),
        "counts": tally.counts(),
        "reasons": tally.reasons(),
        "crew": Counter(picked=2, packed=2, handed_over=2),
        "authorised": 2,
        "captured": 2,
        "labels": 2,
        "mails": Counter(order_confirmation=2, shipment=2, delivery=2),
        "mails_again": 1,
        "folders": {"labels (PDF)": "somewhere/labels"},
        **changes,
    }
    return Outcome(**made)


def test_the_table_tells_all_that_became_of_the_orders() -> None:
    table = dict(rows(outcome()))
    assert table["refused"] == table["  lines_missing /data/lines"] == "1"
    assert (table["completed"], table["authorised"], table["mails: shipment"]) == ("2", "2", "2")
    assert (table["placed to dispatched, median"], table["placed to dispatched, 99th perc."]) == ("2.00 s", "4.00 s")
    assert table["mails sent again (same Message-ID)"] == "1"
    assert where_to_look(outcome()) == ["labels (PDF): somewhere/labels"]
    assert orders_per_second(outcome().courses) == pytest.approx(3 / 8)


def test_the_verdict_is_good_only_without_anything_missing_or_disagreeing() -> None:
    assert verdict(outcome()) == ["Every order reached its end, and the sandboxes' books agree."]
    bad = outcome(disagreements=[Disagreement("not captured", ("A",))], missing=["Nothing has moved for 120 s."])
    assert not bad.good
    assert verdict(bad) == ["Nothing has moved for 120 s.", "The books disagree: not captured: 1 (A)."]


def test_without_a_terminal_a_line_is_printed_only_for_news_and_not_too_often() -> None:
    at = [0.0]
    console = Console(record=True, force_terminal=False, width=200)
    with console.capture() as captured, Picture(console, clock=lambda: at[0]) as picture:
        for seconds, number in ((0, 1), (1, 2), (6, 2), (12, 2), (18, 3)):
            at[0] = float(seconds)
            picture.show(Counter(published=number), {})
    assert captured.get().splitlines() == ["published 1", "published 2", "published 3"]


def test_what_was_refused_or_declined_is_expected_no_further() -> None:
    wanted = expected(Counter(published=10, refused=2, declined=1), 10)
    assert (wanted["published"], wanted["accepted"], wanted["captured"], wanted["mails"]) == (10, 8, 7, 22)


def test_stillness_counts_from_the_last_change() -> None:
    at = [0.0]
    still = Stillness(lambda: at[0])
    seen = []
    for seconds, picture in ((1, "a"), (5, "a"), (6, "b"), (9, "b")):
        at[0] = float(seconds)
        seen.append(still.seconds(picture))
    assert seen == [0, 4, 0, 3]


# -- the commands ----------------------------------------------------------------------------------


def test_a_timeline_shows_state_facts_and_reasons() -> None:
    told = {
        "state": "held",
        "facts": {"label_created": "2026-11-22T10:00:02.123456+00:00", "accepted": "2026-11-22T10:00:00Z"},
        "reasons": [{"code": "recipient_invalid", "path": "/recipient"}],
    }
    lines = list(timeline("A-1", told))
    assert lines[0] == "Order A-1: held"
    assert lines[1].split() == ["2026-11-22T10:00:00.000+00:00", "accepted"]
    assert lines[2].split() == ["2026-11-22T10:00:02.123+00:00", "label_created"]
    assert lines[3] == "  reason: recipient_invalid /recipient"


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["storefront"],
        ["storefront", "publish"],
        ["storefront", "answers"],
        ["crew"],
        ["orders"],
        ["orders", "show"],
        ["demo"],
    ],
)
def test_every_command_has_help(command: list[str]) -> None:
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Usage" in result.output


@pytest.mark.parametrize(
    "command", [["crew"], ["orders", "show", "A-1"], ["storefront", "answers"], ["storefront", "publish", "sample"]]
)
def test_missing_settings_end_with_usage_and_one_sentence(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("STOREFRONT_AMQP_URI", "ORDERS_HTTP_URL", "SHIPPING_HTTP_URL", "STAFF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2
    assert "settings are missing" in result.output
    assert "Traceback" not in result.output


def test_an_unknown_service_to_kill_is_a_wrong_usage() -> None:
    result = CliRunner().invoke(app, ["demo", "--kill", "warehouse"])
    assert result.exit_code == 2
