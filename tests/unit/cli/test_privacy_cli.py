"""`brownpaper privacy`: what it prints, writes and ends with."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

from shared.cli import privacy
from shared.cli.main import app
from shared.policy import POLICY_FILE, Policy, load, load_versions
from tests.unit.orders.people import Bureau, certificate_of
from tests.unit.policy.earlier import EARLIER, as_before


def run(*words: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["privacy", *words])
    return done.exit_code, done.output


def test_compile_checks_without_writing() -> None:
    code, said = run("compile", "--check")
    assert code == 0
    policy = load()
    assert f"{len(policy.checks)} checks, {len(policy.pending)} pending" in said
    assert policy.clauses_awaiting() == policy.clauses_in_part() == ()
    assert "nothing watches yet: none." in said


def test_compile_writes_everything_into_a_folder_and_the_check_holds_it_there(tmp_path: Path) -> None:
    assert run("compile", "--out", str(tmp_path))[0] == 0
    assert json.loads((tmp_path / "retention.json").read_text())
    assert (tmp_path / "outgoing" / "carrier-buy-label.schema.json").exists()
    assert run("compile", "--out", str(tmp_path), "--check")[0] == 0
    (tmp_path / "staff.json").write_text("{}")
    code, said = run("compile", "--out", str(tmp_path), "--check")
    assert code == 1
    assert "staff.json: it is not what the policy makes of it" in said


def test_nothing_is_pending_so_that_the_strict_reading_agrees() -> None:
    assert load().pending == {}
    assert run("compile", "--check", "--strict")[0] == 0


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


def test_the_difference_of_two_files_is_told_with_what_follows(tmp_path: Path) -> None:
    newer = tmp_path / "2027-01-01.yaml"
    text = POLICY_FILE.read_text("utf-8").replace('version: "2013-08-19"', 'version: "2027-01-01"')
    wider = text.replace(
        "fields: [name, email, language], purpose: order_news, opens", "fields: *contact, purpose: order_news, opens"
    )
    newer.write_text(text, "utf-8")
    code, said = run("change", str(POLICY_FILE), str(newer))
    assert (code, said.splitlines()[-1]) == (0, "The two say the same.")
    newer = tmp_path / "wider.yaml"
    newer.write_text(wider, "utf-8")
    code, said = run("change", str(POLICY_FILE), str(newer))
    assert code == 0
    assert "widening + open notifications contact phone order_news as_it_is" in said
    assert "People are told:\n  Tell the buyer how the order stands. It uses phone of this: Who is told about the order." in said
    told = json.loads(run("change", str(newer), str(POLICY_FILE), "--json")[1])
    assert {it["effect"] for it in told["changes"]} == {"narrowing", "neutral"}
    assert run("change", str(tmp_path / "nowhere.yaml"), str(newer))[0] == 2
    newer = tmp_path / "none.yaml"
    newer.write_text("version: 3", "utf-8")
    assert run("change", str(POLICY_FILE), str(newer))[0] == 1


def test_an_erasure_is_proved_offline_by_keys_that_were_kept_and_never_by_its_own(tmp_path: Path) -> None:
    bureau = Bureau()
    certificate, keys = tmp_path / "erasure.json", tmp_path / "keys.json"
    certificate.write_text(json.dumps(certificate_of(bureau)))
    keys.write_text(json.dumps(bureau.public_keys()))
    prove = ("prove", "r-1", "--file", str(certificate))
    code, said = run(*prove)
    assert code == 2
    assert "Nothing is proved without trusted keys" in said
    assert "signed" not in said
    code, said = run(*prove, "--keys", str(keys))
    assert code == 0
    assert "every holder by the policy has signed for it" in said
    keys.write_text(json.dumps([key for key in bureau.public_keys() if key["service"] != "payments"]))
    code, said = run(*prove, "--keys", str(keys))
    assert code == 1
    assert "payments: the signature is not right" in said
    keys.write_text("{}")
    assert run(*prove, "--keys", str(keys))[0] == 2


def test_an_erasure_is_proved_by_an_earlier_version_that_lies_in_the_folder_of_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, empty = tmp_path / "versions", tmp_path / "empty"
    folder.mkdir()
    empty.mkdir()
    (folder / f"{EARLIER}.yaml").write_text(as_before(), "utf-8")
    bureau = Bureau()
    bureau.desk = replace(bureau.desk, policy=load_versions(folder)[EARLIER])
    certificate, keys, env = tmp_path / "erasure.json", tmp_path / "keys.json", tmp_path / "env"
    certificate.write_text(json.dumps(certificate_of(bureau)))
    keys.write_text(json.dumps(bureau.public_keys()))
    env.write_text(f"POLICY_FOLDER={folder}\n")
    monkeypatch.delenv("POLICY_FOLDER", raising=False)
    prove = ("prove", "r-1", "--file", str(certificate), "--keys", str(keys))
    assert run(*prove, "--env", str(env))[0] == 0
    assert run(*prove, "--policies", str(folder))[0] == 0
    code, said = run(*prove, "--env", str(env), "--policies", str(empty))
    assert code == 1
    assert f"it was made under policy {EARLIER}, which is not known here" in said
    (empty / f"{EARLIER}.yaml").write_text("version: 3", "utf-8")
    code, said = run(*prove, "--policies", str(empty))
    assert code == 1
    assert "The versions of the policy cannot be used" in said
    assert run(*prove, "--policies", str(tmp_path / "nowhere"))[0] == 2
