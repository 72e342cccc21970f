"""Which lines may be used: names alone decide, and what is not surely safe is not."""

from __future__ import annotations

import pytest

from shared.lines import is_here, is_protected


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.9.10", "::1", "/run/postgresql", "@abstract", "", None])
def test_this_machine(host: str | None) -> None:
    assert is_here(host)


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "0.0.0.0", "::", "broker", "localhost.example", "127.0.0.1.example", "127.1", "128.0.0.1", "::ffff:10.0.0.1"],
)
def test_elsewhere(host: str) -> None:
    assert not is_here(host)


@pytest.mark.parametrize(
    "address",
    [
        "https://party.example",
        "amqps://u:p@one.example/v;amqps://u:p@two.example/v",
        "smtps://mail.example",
        "smtp+starttls://mail.example",
        "smtp://[::1]:25",
        "http://localhost:8001/x",
        "amqp://u:p@127.0.0.1/v;amqps://u:p@two.example/v",
        "postgresql://u:p@a.example,b.example/d?sslmode=verify-full&sslrootcert=system",
        "postgresql://u:p@127.0.0.1:1,localhost:2/d?sslmode=disable",
        "postgresql:///d?host=/run/postgresql",
        "postgresql://%2Frun%2Fpostgresql/d",
    ],
)
def test_a_line_that_may_be_used(address: str) -> None:
    assert is_protected(address)


@pytest.mark.parametrize(
    "address",
    [
        "http://party.example",
        "http://u:127.0.0.1@party.example",
        "http://party.example/127.0.0.1",
        "amqp://u:p@127.0.0.1/v;amqp://u:p@two.example/v",
        "smtp://mail.example",
        "postgresql://u:p@db.example/d",
        "postgresql://u:p@db.example/d?sslmode=verify-ca",
        "postgresql://u:p@db.example/d?sslmode=verify-full&sslmode=disable",
        "postgresql://u:p@db.example/d?sslmode=verify-full&ssl_min_protocol_version=TLSv1",
        "postgresql://u:p@127.0.0.1,db.example/d",
        "postgresql://127.0.0.1/d?host=db.example",
        "postgresql://127.0.0.1/d?hostaddr=10.0.0.1",
        "postgresql://127.0.0.1/d?host=localhost,db.example",
        "postgresql:///d?service=elsewhere",
        "http://[::1",
    ],
)
def test_a_line_that_may_not(address: str) -> None:
    assert not is_protected(address)
