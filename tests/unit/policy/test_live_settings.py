"""What a stack was told, against the policy: versions, and lines that leave the machine in the clear."""

from __future__ import annotations

import pytest

from shared.policy import load
from shared.policy.live_settings import addresses_of, settings_differences

POLICY = load()
SOUND = {"POLICY_VERSIONS": "2013-08-19", **dict.fromkeys(addresses_of(POLICY), "https://party.example/v1")}


def named(**changes: str) -> list[str]:
    return [difference.rule[1] for difference in settings_differences(POLICY, {**SOUND, **changes})]


def test_a_sound_stack_has_no_difference() -> None:
    assert named() == []
    assert list(settings_differences(POLICY, {"POLICY_VERSIONS": "2013-08-19"})) == []


@pytest.mark.parametrize("versions", ["", "2013-08-19,2026-01-01", "2026-01-01"])
def test_another_version_is_named(versions: str) -> None:
    assert named(POLICY_VERSIONS=versions) == ["POLICY_VERSIONS"]


@pytest.mark.parametrize("setting", addresses_of(POLICY))
def test_a_plain_line_that_leaves_is_named(setting: str) -> None:
    for address in (
        "http://party.example",
        "smtp://u:p@mail.example",
        "amqp://u:p@10.0.0.1:5672/v",
        "postgresql://u:p@db.example/x",
    ):
        [difference] = settings_differences(POLICY, {**SOUND, setting: address})
        assert difference.rule == ("setting", setting)
        assert difference.clauses == (44,)
        assert "u:p" not in str(difference)
    for cluster in (
        "postgresql://u:p@db.example/x?sslmode=require",
        "postgresql://u:p@127.0.0.1:5432,10.0.0.1:5432/x",
        "amqp://u:p@127.0.0.1/v;amqp://u:p@10.0.0.1/v",
    ):
        assert named(**{setting: cluster}) == [setting]


@pytest.mark.parametrize(
    "address",
    [
        "http://127.0.0.1:80",
        "amqp://u:p@localhost/v",
        "amqps://broker.example",
        "smtp+starttls://mail.example",
        "http://[::1]:1",
        "amqp://u:p@127.0.0.1:1/v;amqp://u:p@[::1]:2/v",
        "postgresql://u:p@127.0.0.1:1,localhost:2/x",
    ],
)
def test_a_line_that_stays_or_is_protected_is_fine(address: str) -> None:
    assert named(SMTP_URL=address) == []
    assert named(ADMIN_POSTGRES_URL="postgresql://u:p@db.example/x?sslmode=verify-full") == []
