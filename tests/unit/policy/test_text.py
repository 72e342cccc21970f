"""The policy is of a date, and of a text that is pinned by its digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from deploy.local.configuration import DEFAULTS
from shared.policy import Policy, load

SOURCE = Path(__file__).parents[4] / "shared" / "policy" / "source.txt"
FIRST, LAST = "This privacy policy discloses", "Last modified: 8-19-13"


def digest(page: str) -> str:
    """The digest of the policy in the shop's page, every run of blanks as one."""
    text = page[page.index(FIRST) : page.index(LAST) + len(LAST)]
    return hashlib.sha256(" ".join(text.split()).encode()).hexdigest()


def page() -> str:
    if not SOURCE.is_file():
        pytest.skip("the published text (../shared) is not here")
    return SOURCE.read_text("utf-8")


def under(version: str) -> Policy:
    return load().model_copy(update={"version": version})


def is_taken(policy: Policy) -> bool:
    """Whether the stack takes orders under this version."""
    return policy.version in DEFAULTS["POLICY_VERSIONS"].split(",")


def test_the_published_text_is_the_pinned_one() -> None:
    assert digest(page()) == load().text.sha256


def test_one_other_letter_is_another_text() -> None:
    text = page()
    assert digest(text.replace("We will not sell", "We will now sell")) != load().text.sha256
    assert digest(text.replace("\n", "\n\n")) == load().text.sha256


def test_the_stack_takes_orders_under_this_version() -> None:
    assert is_taken(load())
    assert load().version == load().text.last_modified


def test_another_version_is_seen() -> None:
    assert not is_taken(under("2026-01-01"))
