"""`brownpaper privacy`: what it prints, writes and ends with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.cli import privacy
from shared.cli.main import app
from shared.policy import Policy, load


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["privacy", *words])
    return done.exit_code, done.output


def test_compile_checks_without_writing() -> None:
    code, said = run("compile", "--check")
    assert code == 0
    policy = load()
    assert f"{len(policy.checks)} checks, {len(policy.pending)} pending" in said
    awaiting = policy.clauses_awaiting()
    assert f"nothing watches yet: {', '.join(map(str, awaiting))}." in said
    assert 22 in awaiting
    assert not set(awaiting) & set(policy.clauses_in_part())
    assert not {3, 9, 10, 12, 13, 14, 43} & set(awaiting)


def test_compile_writes_everything_into_a_folder_and_the_check_holds_it_there(tmp_path: Path) -> None:
    assert run("compile", "--out", str(tmp_path))[0] == 0
    assert json.loads((tmp_path / "retention.json").read_text())
    assert (tmp_path / "outgoing" / "carrier-buy-label.schema.json").exists()
    assert run("compile", "--out", str(tmp_path), "--check")[0] == 0
    (tmp_path / "staff.json").write_text("{}")
    code, said = run("compile", "--out", str(tmp_path), "--check")
    assert code == 1
    assert "staff.json: it is not what the policy makes of it" in said


def test_strict_refuses_what_is_pending_by_name_and_line() -> None:
    code, said = run("compile", "--check", "--strict")
    assert code == 1
    for name in load().pending:
        assert f"pending.{name}:" in said
    assert "line " in said


def test_code_that_differs_fails_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    def differing(_: Policy) -> list[str]:
        return ["part recipient: nickname is not in the policy"]

    monkeypatch.setattr(privacy, "code_differences", differing)
    code, said = run("compile", "--check")
    assert code == 1
    assert "nickname is not in the policy" in said


def test_diff_without_a_stack_names_what_is_missing(tmp_path: Path) -> None:
    env = tmp_path / "env"
    env.write_text("ADMIN_POSTGRES_URL=postgresql://x\n")
    code, said = run("diff", "--env", str(env))
    assert code == 2
    assert "ADMIN_AMQP_URI" in said
    assert "postgresql://x" not in said
