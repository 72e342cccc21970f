"""What `brownpaper privacy publish`, `privacy campaigns` and `announce` say: counts, sentences of the policy, and nobody's name."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.cli.main import app
from shared.cli.publishing import CampaignRow, campaign_lines, published_lines

AT = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
TOLD = {"version": "2027-01-01", "previous": "2013-08-19", "widened": [], "noticed": ["N."], "is_mailed": False}


def test_what_follows_from_a_publication_is_told() -> None:
    assert list(published_lines(TOLD)) == [
        "Version 2027-01-01 is published; it takes the place of 2013-08-19 on that day.",
        "Nobody need be asked. GET /policy shows it.",
        "  N.",
    ]
    assert "those who want mail are told" in list(published_lines({**TOLD, "is_mailed": True}))[1]
    asked = list(published_lines({**TOLD, "widened": ["W."]}))
    assert asked[1].endswith("they are asked by mail:")
    assert asked[2:] == ["  W.", "  N."]


def test_a_campaign_is_counts_alone() -> None:
    counts = {("withheld", "no_communication"): 2, ("sent", None): 40, ("sending", None): 3, ("withheld", "contact_gone"): 1}
    running = CampaignRow("policy_change 2027-01-01", "2027-01-01", AT, AT, None, counts, 7)
    done = CampaignRow("newsletter d", None, AT, AT, AT, {}, None)
    assert list(campaign_lines([running, done])) == [
        "policy_change 2027-01-01: begun 2026-12-01 09:00, goes on until 2026-12-01 09:00, 46 persons taken up",
        "  sending: 3",
        "  sent: 40",
        "  withheld (contact_gone): 1",
        "  withheld (no_communication): 2",
        "  could not be asked (no contact is kept): 7",
        "newsletter d: begun 2026-12-01 09:00, done 2026-12-01 09:00, 0 persons taken up",
    ]
    assert list(campaign_lines([])) == ["No letter went to many yet."]


@pytest.mark.parametrize("text", ["No subject\n\nText", "Subject: S\nText", "Subject: S\nX: y\n\nText", "Subject: S\n\n  \n"])
def test_a_letter_without_subject_or_text_is_not_sent(text: str, tmp_path: Path) -> None:
    file = tmp_path / "letter"
    file.write_text(text, "utf-8")
    done = CliRunner().invoke(app, ["announce", str(file), "--kind", "newsletter", "--by", "crew.1"])
    assert (done.exit_code, "wants a first line" in done.output) == (2, True)


def test_nothing_is_published_without_a_file_and_a_name(tmp_path: Path) -> None:
    assert CliRunner().invoke(app, ["privacy", "publish"]).exit_code == 2
    assert CliRunner().invoke(app, ["privacy", "publish", str(tmp_path / "nowhere.yaml"), "--by", "officer.1"]).exit_code == 2
