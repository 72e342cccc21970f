"""Settings are complained about all at once, by name, and no value is ever printed."""

from __future__ import annotations

import traceback
from datetime import timedelta
from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from services.notifications.settings import NotificationsSettings
from services.orders.settings import OrdersSettings
from services.payments.settings import PaymentsSettings
from services.shipping.settings import ShippingSettings
from shared.contracts.errors import BrownPaperError
from shared.setting_kinds import (
    AmqpUri,
    Country,
    Durations,
    ListeningAddress,
    LogLevel,
    MailAddress,
    Mapping,
    Names,
    PartyUrl,
    PostgresUrl,
    SmtpUrl,
    Sources,
    Text,
    Token,
)
from shared.settings import DeliverySettings, KeyringSettings, Settings, SettingsInvalid

CLASSES: list[type[DeliverySettings]] = [OrdersSettings, PaymentsSettings, ShippingSettings, NotificationsSettings]
CANARY = "canary-7d41"


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for settings in CLASSES:
        for name in settings.model_fields:
            monkeypatch.delenv(name.upper(), raising=False)


def required(settings: type[Settings]) -> set[str]:
    return {name.upper() for name, field in settings.model_fields.items() if field.is_required()}


@pytest.mark.parametrize("settings", CLASSES)
def test_every_missing_setting_is_named_at_once(settings: type[Settings]) -> None:
    with pytest.raises(SettingsInvalid) as caught:
        settings.read()
    title, *lines = str(caught.value).splitlines()
    assert title == "settings to mend:"
    assert lines == [f"  {name}: is missing" for name in sorted(required(settings))]
    assert len(lines) > 3


@pytest.mark.parametrize("settings", CLASSES)
def test_no_value_is_printed_whatever_is_wrong_with_it(settings: type[Settings], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in settings.model_fields:
        monkeypatch.setenv(name.upper(), CANARY)
    with pytest.raises(SettingsInvalid) as caught:
        settings.read()
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert CANARY not in shown
    assert "BATCH_SIZE: is not right (int_parsing)" in shown
    assert "LATER_RUNGS_SECONDS: is not right (value_error)" in shown


def test_what_is_missing_and_what_is_wrong_are_named_together(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMQP_URI", "amqps://broker.example")
    monkeypatch.setenv("BATCH_SIZE", "0")
    with pytest.raises(SettingsInvalid) as caught:
        DeliverySettings.read()
    assert str(caught.value).splitlines()[1:] == [
        "  BATCH_SIZE: is not right (greater_than_equal)",
        "  DATABASE_URL: is missing",
    ]
    assert isinstance(caught.value, BrownPaperError)


def test_what_is_set_is_read_and_typed(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AMQP_URI": "amqps://broker.example",
        "DATABASE_URL": "postgresql://database.example?sslmode=verify-full",
        "LATER_RUNGS_SECONDS": "0.1,0.2,3",
        "STOREFRONT_SOURCES": " https://a.example, https://b.example ,",
        "STOREFRONT_TOKEN": "t" * 16,
        "STAFF_TOKEN": "s" * 16,
        "PERSONS_KEY_FILE": __file__,
        "SHIPPING_SERVICES": "ground=ups_ground, air",
        "ACCEPT_CLEAR_PARTS_OVER_AMQP": "true",
    }.items():
        monkeypatch.setenv(name, value)
    settings = OrdersSettings.read()
    assert settings.later_rungs_seconds == (0.1, 0.2, 3.0)
    assert settings.storefront_sources == {"https://a.example", "https://b.example"}
    assert settings.shipping_services == {"ground": "ups_ground", "air": "air"}
    assert settings.accept_clear_parts_over_amqp is True
    assert settings.batch_size == 200, "what is not set has its default"


def of_orders(monkeypatch: pytest.MonkeyPatch, **others: str) -> OrdersSettings:
    for name, value in {
        "AMQP_URI": "amqps://broker.example",
        "DATABASE_URL": "postgresql://database.example?sslmode=verify-full",
        "STOREFRONT_SOURCES": "https://a.example",
        "STOREFRONT_TOKEN": "t" * 16,
        "STAFF_TOKEN": "s" * 16,
        "PERSONS_KEY_FILE": __file__,
        "SHIPPING_SERVICES": "ground",
        **others,
    }.items():
        monkeypatch.setenv(name, value)
    return OrdersSettings.read()


def test_reveals_per_hour_are_counts_of_the_policy_s_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_orders(monkeypatch).staff_reveals_per_hour["billing_clerk"] == 30
    assert of_orders(monkeypatch, STAFF_REVEALS_PER_HOUR="warehouse=5, billing_clerk=0").staff_reveals_per_hour == {
        "warehouse": 5,
        "billing_clerk": 0,
    }
    for wrong in ("billing_clerk", "billing_clerk=-1", "billing_clerk=1,billing_clerk=2", f"{CANARY}=3"):
        with pytest.raises(SettingsInvalid, match="STAFF_REVEALS_PER_HOUR: wanted: ") as caught:
            of_orders(monkeypatch, STAFF_REVEALS_PER_HOUR=wrong)
        assert CANARY not in str(caught.value)


def test_each_unfinished_state_s_deadline_can_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_orders(monkeypatch).stuck_after == {}
    assert of_orders(monkeypatch, STUCK_AFTER="").stuck_after == {}
    settings = of_orders(monkeypatch, STUCK_AFTER="accepted=90s, labelled=5m,captured=3h,picking=2d")
    assert settings.stuck_after == {
        "accepted": timedelta(seconds=90),
        "labelled": timedelta(minutes=5),
        "captured": timedelta(hours=3),
        "picking": timedelta(days=2),
    }


def test_the_catalogue_may_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    assert of_orders(monkeypatch).catalogue_departments == frozenset()
    named = of_orders(monkeypatch, CATALOGUE_DEPARTMENTS="Elvish, Pliers & Cutters")
    assert named.catalogue_departments == {"Elvish", "Pliers & Cutters"}


@pytest.mark.parametrize("wrong", ["canary=5m", "completed=5m", "cancelled=5m", "accepted=5m,paid=1d"])
def test_a_deadline_for_what_is_no_unfinished_state_is_refused(wrong: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsInvalid, match=r"  STUCK_AFTER: wanted: no other names than accepted, authorised, ") as caught:
        of_orders(monkeypatch, STUCK_AFTER=wrong)
    assert "canary" not in str(caught.value)
    assert "completed" not in str(caught.value)


def test_a_length_of_time_that_is_none_is_refused_with_what_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsInvalid, match="  STUCK_AFTER: wanted: name=duration, comma-separated, each name once"):
        of_orders(monkeypatch, STUCK_AFTER="accepted=soon")


@pytest.mark.parametrize(
    ("master", "wanted"),
    [
        ("file", "KEYRING_MASTER=file wants KEYRING_MASTER_KEY_FILE"),
        ("vault", "KEYRING_MASTER=vault wants KEYRING_VAULT_URL, KEYRING_VAULT_KEY, KEYRING_VAULT_TOKEN_FILE"),
    ],
)
def test_a_master_that_is_chosen_says_what_it_wants(master: str, wanted: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEYRING_DATABASE_URL", "postgresql://shipping:secret@127.0.0.1/keys")
    monkeypatch.setenv("KEYRING_MASTER", master)
    with pytest.raises(SettingsInvalid) as caught:
        KeyringSettings.read()
    assert str(caught.value) == f"settings to mend:\n  settings: {wanted}"


def test_a_shop_without_a_storefront_is_not_right(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOREFRONT_SOURCES", " , ")
    with pytest.raises(SettingsInvalid, match=r"STOREFRONT_SOURCES: is not right \(too_short\)"):
        OrdersSettings.read()


def test_one_call_with_all_its_tries_ends_before_its_lease() -> None:
    defaults = {name: field.default for name, field in DeliverySettings.model_fields.items()}
    assert defaults["call_seconds"] < defaults["lease_seconds"]


@pytest.mark.parametrize(("lease", "call"), [("10", None), ("10", "11"), ("10", "10"), ("10", "9.1")])
def test_a_lease_that_a_call_could_outlast_is_refused(lease: str, call: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEASE_SECONDS", lease)
    if call is not None:
        monkeypatch.setenv("CALL_SECONDS", call)
    with pytest.raises(SettingsInvalid, match="CALL_SECONDS: wanted: seconds, at least one less than LEASE_SECONDS"):
        DeliverySettings.read()


@pytest.mark.parametrize("settings", [PaymentsSettings, ShippingSettings, NotificationsSettings])
def test_credentials_of_outside_parties_are_secrets(settings: type[Settings]) -> None:
    secret = {name for name, field in settings.model_fields.items() if field.annotation is SecretStr}
    named = {name for name in settings.model_fields if name.endswith(("client_secret", "secret_key", "api_key", "smtp_url"))}
    assert named
    assert named <= secret


@pytest.mark.parametrize(("text", "read"), [("a", {"a"}), ("a,b", {"a", "b"}), (" a , ,b,", {"a", "b"})])
def test_comma_separated_names(text: str, read: object) -> None:
    assert TypeAdapter(Names).validate_python(text) == read


@pytest.mark.parametrize(
    ("text", "read"), [("a=b", {"a": "b"}), ("a", {"a": "a"}), ("a= , b=c=d", {"a": "a", "b": "c=d"}), ({"a": "1"}, {"a": "1"})]
)
def test_comma_separated_pairs(text: object, read: object) -> None:
    assert TypeAdapter(Mapping).validate_python(text) == read


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        (
            AmqpUri,
            [
                *("amqp://u:p@127.0.0.1:5672/v", "amqps://h", "amqps://u:p@a/v;amqps://u:p@b:5673/v"),
                *(f"amqps://u:p@h/v?cacertfile={__file__}", f"amqps://a?cacertfile={__file__};amqps://b?cacertfile={__file__}"),
            ],
            [
                *("http://x", "amqp://", "amqps://u:a/b@h", "amqps://a;", "amqps://a;b", "amqps://a,b:5672"),
                *("amqps://h?verify=verify_none", f"amqps://h?cacertfile={__file__}&verify=verify_none", "amqps://h#x"),
                *("amqps://h?cacertfile=", "amqps://h?cacertfile=/no/such/file", f"amqp://127.0.0.1?cacertfile={__file__}"),
                *(f"amqps://a?cacertfile={__file__};amqps://b", f"amqps://h?ssl_cert_reqs=none&cacertfile={__file__}"),
            ],
        ),
        (
            PostgresUrl,
            ["postgresql://u:p@localhost:5432/d", "postgres:///d", "postgresql://u:p@a:5432,b:5433/d?sslmode=verify-full"],
            ["mysql://u:p@h/d", "host=127.0.0.1 dbname=d", ""],
        ),
        (PartyUrl, ["https://api.example", "http://127.0.0.1:1/rest/6.0"], ["nope", "ftp://x", "https://u:p@x", "https://x?q"]),
        (
            SmtpUrl,
            ["smtp://localhost", "smtps://u:p%2F@h:465", "smtp+starttls://h:587"],
            ["gopher://h", "smtps://u:a/b@h", "smtps://h:port"],
        ),
        (
            ListeningAddress,
            ["127.0.0.1:8001", "127.0.0.1:0", "localhost:1", "[::1]:8001"],
            ["8001", "127.0.0.1", ":8001", "localhost:99999", "0.0.0.0:8001", "[::]:8001", "10.0.0.1:8001", "shop.example:80"],
        ),
        (LogLevel, ["DEBUG", "ERROR"], ["loud", "", "NOTSET", "debug"]),
        (Text, ["a"], ["", "  "]),
        (Token, ["t" * 16], ["short", "with a blank in it", ""]),
        (Country, ["DE"], ["XX", "de", ""]),
        (MailAddress, ["a@b.example", "Shop <a@b.example>"], ["a", "a b@c", ""]),
        (Sources, ["https://a.example", "https://a.example,urn:shop:2"], ["not a uri", "", "https://a b"]),
        (Names, ["a"], ["", " , "]),
        (Mapping, ["a=b"], [""]),
        (
            Durations,
            ["", "a=90s", " a_b=2d , c=99999h,"],
            ["a", "a=", "a=5", "=5m", "a=0s", "a=-5m", "a=1.5h", "a=5w", "a=5m,a=6m", "a=5 m", "a=100000d", "A=5m"],
        ),
    ],
)
def test_each_kind_of_setting_takes_what_it_is_and_nothing_else(kind: Any, right: list[str], wrong: list[str]) -> None:
    adapter: TypeAdapter[object] = TypeAdapter(kind)
    for text in right:
        adapter.validate_python(SecretStr(text) if kind is SmtpUrl else text)
    for text in wrong:
        with pytest.raises(ValidationError):
            adapter.validate_python(SecretStr(text) if kind is SmtpUrl else text)


@pytest.mark.parametrize(("rungs", "horizon"), [("1,2", "3.6"), ("1,2", "0"), ("1000000,2000000", None), ("1", "-5")])
def test_a_horizon_outlasts_the_ladder(rungs: str, horizon: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LATER_RUNGS_SECONDS", rungs)
    if horizon is not None:
        monkeypatch.setenv("INBOX_HORIZON_SECONDS", horizon)
    with pytest.raises(SettingsInvalid, match="INBOX_HORIZON_SECONDS: wanted: seconds, more than all of LATER_RUNGS_SECONDS"):
        DeliverySettings.read()


def test_a_horizon_just_longer_than_the_ladder_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "LATER_RUNGS_SECONDS": "1,2",
        "INBOX_HORIZON_SECONDS": "3.7",
        "AMQP_URI": "amqps://h",
        "DATABASE_URL": "postgresql://localhost/d",
    }.items():
        monkeypatch.setenv(name, value)
    assert DeliverySettings.read().inbox_horizon_seconds == 3.7


PLAIN = {
    AmqpUri: ["amqp://u:p@broker.example/v", "amqp://u:p@127.0.0.1/v;amqp://u:p@10.0.0.1/v"],
    PostgresUrl: [
        *(
            "postgresql://u:p@db.example/d",
            "postgresql://u:p@db.example/d?sslmode=require",
            "postgresql://u:p@127.0.0.1,db.example/d",
        ),
        *("postgresql://u:p@db.example/d?sslmode=verify-ca", "postgresql://127.0.0.1/d?host=db.example"),
        "postgresql://u:p@db.example/d?sslmode=verify-full&ssl_min_protocol_version=TLSv1.1",
    ],
    PartyUrl: ["http://api.example/v1"],
    SmtpUrl: ["smtp://u:p@mail.example:25"],
}


@pytest.mark.parametrize(("kind", "address"), [(kind, address) for kind, addresses in PLAIN.items() for address in addresses])
def test_a_plain_line_that_leaves_the_machine_is_refused_without_its_address(kind: Any, address: str) -> None:
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(SecretStr(address) if kind is SmtpUrl else address)
    [fault] = refused.value.errors(include_input=False)
    assert fault["msg"].startswith("wanted: an encrypted line, or one that stays on this machine")
    assert "example" not in fault["msg"]


def test_every_plain_line_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    class Both(DeliverySettings, KeyringSettings):
        party_url: PartyUrl
        smtp_url: SmtpUrl

    told = {
        "AMQP_URI": "amqp://u:s3cret@broker.example/v",
        "DATABASE_URL": "postgresql://u:s3cret@db.example/d",
        "KEYRING_DATABASE_URL": "postgresql://u:s3cret@keys.example/d?sslmode=prefer",
        "KEYRING_VAULT_URL": "http://vault.example",
        "PARTY_URL": "http://party.example",
        "SMTP_URL": "smtp://u:s3cret@mail.example",
    }
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid) as refused:
        Both.read()
    said = str(refused.value)
    assert [line.split(":")[0].strip() for line in said.splitlines()[1:]] == sorted(told)
    assert "s3cret" not in said
    assert ".example" not in said
