from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.storefront.grammars import is_email, is_language_tag, read_base64, read_time


@pytest.mark.parametrize(
    "text",
    [
        "ana@example.com",
        "a.b+c_d@sub.example.co.uk",
        "!#$%&'*+/=?^_`{|}~-@example.com",
        '"john doe"@example.com',
        '"a\\"b"@example.com',
        '"a@b"@example.com',
        "ana@localhost",
        "ana@shop.test",
        "ana@example.invalid",
        "ana@[192.0.2.1]",
        "ana@[IPv6:2001:db8::1]",
        "ana@[tag:anything]",
        "müller@bücher.example",
        "用户@例子.广告",
        "हिन्दी@उदाहरण.भारत",
        "a" * 64 + "@example.com",
        "a@" + "b" * 63 + ".com",
        "a@" + ".".join(["b" * 49] * 5) + ".cc",
    ],
)
def test_mail_addresses(text: str) -> None:
    assert is_email(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ana",
        "@example.com",
        "ana@",
        "a..b@example.com",
        ".a@example.com",
        "a.@example.com",
        "a b@example.com",
        "a@b@example.com",
        "ana@-example.com",
        "ana@example-.com",
        "ana@example..com",
        "ana@exam_ple.com",
        "ana@example.com.",
        "ana@[300.0.0.1]",
        "ana@[IPv6:xyz]",
        "ana@[]",
        "Ana <ana@example.com>",
        "ana@example.com\r\nBcc: eve@example.com",
        "ana\u2028@example.com",
        "ana\u0085@example.com",
        '"a\nb"@example.com',
        '"a"b"@example.com',
        "a" * 65 + "@example.com",
        "é" * 33 + "@example.com",
        "a@" + "b" * 64 + ".com",
        "a@" + ".".join(["b" * 61] * 4) + ".ccccc",
        "a@" + "ü" * 60 + ".com",
        "a\ud800@example.com",
    ],
)
def test_mail_addresses_that_are_none(text: str) -> None:
    assert not is_email(text)


WELL_FORMED_TAGS = (
    "en de-AT zh-Hant-TW es-419 sl-rozaj-biske de-CH-1996 x-own i-klingon en-u-ca-gregory zh-cmn-Hans-CN EN-gb "
    "en-GB-oed qaa-Qaaa-QM-x-southern de-a-foo-b-bar hy-Latn-IT-arevela"
)


@pytest.mark.parametrize("tag", WELL_FORMED_TAGS.split())
def test_language_tags(tag: str) -> None:
    assert is_language_tag(tag)


@pytest.mark.parametrize(
    "tag", ["", "e", "en_US", "en-", "-en", "abcdefghi", "en-x", "en-a", "de-419-DE", "a-DE", "en US", "ën", "en\n"]
)
def test_language_tags_that_are_none(tag: str) -> None:
    assert not is_language_tag(tag)


@given(st.text(max_size=60))
def test_no_grammar_raises(text: str) -> None:
    for grammar in (is_email, is_language_tag, read_base64, read_time):
        assert grammar(text) in {True, False, None} or not isinstance(grammar(text), bool)


@given(st.datetimes(), st.sampled_from(["Z", "+00:00", "-00:00"]))
def test_times_are_read_as_they_stand(time: object, zone: str) -> None:
    read = read_time(str(time).replace(" ", "T") + zone)
    assert read is not None
    assert read.replace(tzinfo=None) == time
