"""`brownpaper privacy diff` on a whole running stack, after an order went through it."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

import psycopg
from typer.testing import CliRunner

from shared.cli.main import app


def diff(shop: Any) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["privacy", "diff", "--env", str(shop.stack.folder / "env")])
    return done.exit_code, done.output


def test_a_running_stack_is_as_the_policy_says_and_a_door_left_open_is_named(shop: Any) -> None:
    event = shop.approved()
    assert shop.post(json.dumps(event).encode())[0] == 202
    shop.completes(event["data"]["order_number"])
    code, said = diff(shop)
    assert (code, said.strip()) == (0, "The running servers are as the policy says.")
    database = urlsplit(shop.env["SHIPPING_DATABASE_URL"]).path[1:]
    with psycopg.connect(shop.env["ADMIN_POSTGRES_URL"], autocommit=True) as connection:
        connection.execute(f'grant connect on database "{database}" to public'.encode())
        try:
            code, said = diff(shop)
        finally:
            connection.execute(f'revoke all on database "{database}" from public'.encode())
    assert code == 1
    assert "door shipping everybody: it should not be: CONNECT (clauses" in said
    assert "differ from the policy in 1 place." in said
    with psycopg.connect(shop.env["ORDERS_DATABASE_URL"]) as connection:
        opened = connection.execute("select number, place, state from incidents where kind = 'live_difference'").fetchall()
    assert [row[1:] for row in opened] == [("door shipping everybody", "open")], "a live difference opens an incident by itself"
    assert f"Incidents: {opened[0][0]}." in said
    assert diff(shop)[0] == 0
