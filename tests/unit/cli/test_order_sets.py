"""The converters: exact sums, nobody real, numbers that never collide; against the real sets where they lie beside the clone."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from shared.cli.order_sets import marketplace, sample, uk_gift_shop
from shared.cli.order_sets.buyers import Buyers
from shared.cli.order_sets.opening import open_set
from shared.cli.order_sets.places import COUNTRY_CODES, PLACES
from shared.cli.order_sets.wording import Making, money
from shared.cli.terminal import Misused

SHOP = "https://shop.example"
SETS = Path(__file__).resolve().parents[4] / "shared" / "data" / "orders"
NUMBER = re.compile(r"[A-Za-z0-9._~-]{1,64}", re.ASCII)


def making(seed: int = 1, run: str = "r7k2") -> Making:
    return Making(Buyers(seed), run, lambda: datetime(2026, 11, 22, 10, tzinfo=UTC))


def needs(*parts: str) -> Path:
    path = SETS.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"the order set {'/'.join(parts)} does not lie beside the clone")
    return path


def adds_up(data: dict[str, Any]) -> bool:
    goods = sum(line["quantity"] * Decimal(line["unit_price"]) for line in data["lines"])
    extra = Decimal(data["shipping_price"]) + Decimal(data["tax"]) - Decimal(data["discount"])
    return bool(goods + extra == Decimal(data["total"]) >= 0)


def fulfillable(data: dict[str, Any]) -> bool:
    return bool(data["lines"]) and Decimal(data["total"]) > 0


def sound(data: dict[str, Any]) -> bool:
    """What the contract asks of every order, whether it can be fulfilled or not."""
    return (
        NUMBER.fullmatch(data["order_number"]) is not None
        and NUMBER.fullmatch(data["customer_id"]) is not None
        and [line["line"] for line in data["lines"]] == list(range(1, len(data["lines"]) + 1))
        and all(1 <= line["quantity"] <= 99_999 for line in data["lines"])
        and data["contact"]["email"].endswith(".example")
        and (data["payment"]["provider"] == "paypal") == ("billing" not in data)
        and adds_up(data)
    )


UK_ROWS = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
1001,85123A,LANTERN,6,2010-12-01 08:26:00,2.55,17850.0,France
1001,85123A,LANTERN,6,2010-12-01 08:26:00,2.55,17850.0,France
1001,POST,POSTAGE,3,2010-12-01 08:26:00,18.0,17850.0,France
1001,M,Manual,1,2010-12-01 08:26:00,4.1,17850.0,France
1002,D,Discount,-2,2010-12-01 09:00:00,1.0,,United Kingdom
1002,22423,,1,2010-12-01 09:00:00,10.95,,United Kingdom
C1003,22423,CAKESTAND,-1,2010-12-01 09:10:00,10.95,14527.0,United Kingdom
C1003,D,Discount,-1,2010-12-01 09:10:00,27.5,14527.0,United Kingdom
1004,21777,,-10,2010-12-01 09:20:00,0.0,,United Kingdom
1005,22139,FREE,2,2010-12-01 09:30:00,0.0,,United Kingdom
"""


@pytest.fixture
def uk_file(tmp_path: Path) -> Path:
    path = tmp_path / "uk.csv"
    path.write_text(UK_ROWS, encoding="utf-8")
    return path


def test_gift_shop_decides_line_by_line(uk_file: Path) -> None:
    left_out: Counter[str] = Counter()
    abroad, home, cancellation, adjustment, free = uk_gift_shop.orders(uk_file, making(), left_out=left_out)
    assert [line["quantity"] for line in abroad["lines"]] == [6, 6]
    assert (abroad["shipping_price"], abroad["total"]) == ("54.00", "84.60")
    assert (abroad["shipping_service"], abroad["customer_id"], abroad["recipient"]["address"]["country"]) == (
        "international",
        "uk-17850",
        "FR",
    )
    assert (home["discount"], home["total"], home["shipping_service"]) == ("2.00", "8.95", "ground")
    assert home["lines"][0]["title"] == ""
    assert home["customer_id"].startswith("guest-")
    assert (cancellation["lines"], cancellation["total"]) == ([], "0.00")
    assert (adjustment["lines"], adjustment["total"]) == ([], "0.00")
    assert (len(free["lines"]), free["total"]) == (1, "0.00")
    assert left_out == {"M": 1, "returned": 3}


def test_a_discount_beyond_the_order_ends_at_zero(tmp_path: Path) -> None:
    path = tmp_path / "uk.csv"
    head = UK_ROWS.splitlines()[0]
    path.write_text(f"{head}\n1,22423,X,1,2010-12-01 09:00:00,5.0,,EIRE\n1,D,Discount,-1,2010-12-01 09:00:00,9.0,,EIRE\n")
    (order,) = uk_gift_shop.orders(path, making())
    assert (order["discount"], order["total"]) == ("5.00", "0.00")


def test_every_gift_shop_invoice_is_published_once_and_exactly() -> None:
    path = needs("uci-online-retail", uk_gift_shop.FILE_NAME)
    left_out: Counter[str] = Counter()
    orders = list(uk_gift_shop.orders(path, making(), left_out=left_out))
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(orders) == len({row["InvoiceNo"] for row in rows}) == len({order["order_number"] for order in orders})
    assert all(map(sound, orders))
    assert sum(map(fulfillable, orders)) == 1550
    assert sum(not order["lines"] for order in orders) == 403
    assert sum(bool(order["lines"]) and Decimal(order["total"]) == 0 for order in orders) == 72
    no_goods = {"POST", "DOT", "C2", "D", "M", "BANK CHARGES", "AMAZONFEE", "S"}
    goods = sum(
        int(row["Quantity"]) * Decimal(row["UnitPrice"])
        for row in rows
        if int(row["Quantity"]) > 0 and row["StockCode"].upper() not in no_goods
    )
    assert sum(line["quantity"] * Decimal(line["unit_price"]) for order in orders for line in order["lines"]) == goods
    postage = sum(row["StockCode"] in {"POST", "DOT", "C2"} and int(row["Quantity"]) > 0 for row in rows)
    assert sum(len(order["lines"]) for order in orders) + left_out.total() + postage == len(rows)
    assert max(len(order["lines"]) for order in orders) > 600


def test_every_marketplace_order_is_published_once_and_exactly() -> None:
    folder = needs("olist", marketplace.ORDERS_FILE_NAME).parent
    orders = list(marketplace.orders(folder, making()))
    assert len(orders) == len({order["order_number"] for order in orders}) == 5000
    assert all(sound(order) and fulfillable(order) for order in orders)
    with (folder / "olist_order_items_dataset.csv").open(encoding="utf-8-sig", newline="") as file:
        items = list(csv.DictReader(file))
    assert sum(Decimal(order["total"]) for order in orders) == sum(
        Decimal(item["price"]) + Decimal(item["freight_value"]) for item in items
    )
    assert sum(line["quantity"] for order in orders for line in order["lines"]) == len(items)
    sizes = marketplace.product_sizes(folder)
    assert sizes["1e9e8ef04dbcff4541ed26657ea517e5"] == marketplace.ProductSize(225, 160, 140, 100)


def test_the_sample_is_varied_and_adds_up() -> None:
    orders = list(sample.orders(making()))
    assert len(orders) >= 40
    assert all(sound(order) and fulfillable(order) for order in orders)
    assert len({order["recipient"]["address"]["country"] for order in orders}) >= 25
    assert {order["payment"]["provider"] for order in orders} == {"paypal", "2checkout"}
    assert any("gift_message" in order["recipient"] for order in orders)
    assert any("personalisation" in order["recipient"] for order in orders)


@pytest.mark.parametrize("orders", [1, 44, 100])
def test_a_set_is_gone_through_again_under_new_numbers(orders: int) -> None:
    numbers = [event["data"]["order_number"] for event in open_set("sample", source=SHOP, orders=orders, run="aaaa").events]
    assert len(numbers) == len(set(numbers)) == orders


def test_the_same_seed_invents_the_same_buyers_and_another_seed_others() -> None:
    first, again, other = (list(islice(sample_buyers(seed), 200)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def sample_buyers(seed: int) -> Iterator[object]:
    buyers = Buyers(seed)
    for number in range(200):
        yield buyers.of(customer_id=f"c-{number}", order=f"o-{number}", country="GB", lines=2)


def test_two_runs_have_no_order_number_in_common() -> None:
    first, second = (
        {event["data"]["order_number"] for event in open_set("sample", source=SHOP, run=run).events} for run in ("aaaa", "bbbb")
    )
    assert not first & second


def test_one_customer_is_one_person_whatever_he_orders() -> None:
    buyers = Buyers(1)
    first, second = (buyers.of(customer_id="c", order=order, country="DE") for order in ("a", "b"))
    assert first.contact == second.contact
    assert first.recipient["address"] == second.recipient["address"]


def test_about_two_in_ten_pay_with_2checkout_and_bring_what_it_asks_for() -> None:
    buyers = Buyers(1)
    made = [buyers.of(customer_id=f"c-{n}", order=f"o-{n}", country=country) for n in range(50) for country in PLACES]
    billed = [buyer.billing for buyer in made if buyer.billing is not None]
    assert 0.15 < len(billed) / len(made) < 0.25
    for billing in billed:
        address = billing["address"]
        assert address["postal_code"]
        assert address["country"] not in {"US", "TR", "IN", "RO"} or address["region"]
        assert (address["country"] == "BR") == ("tax_id" in billing)


def test_a_tax_id_looks_like_a_cpf_but_its_check_digits_are_wrong() -> None:
    buyers = Buyers(1)
    tax_ids = {
        str(buyer.billing["tax_id"])
        for n in range(100)
        if (buyer := buyers.of(customer_id=f"c-{n}", order=f"o-{n}", country="BR", state="BA")).billing
    }
    assert tax_ids
    for tax_id in tax_ids:
        assert re.fullmatch(r"\d{3}\.\d{3}\.\d{3}-\d{2}", tax_id)
        digits = [int(sign) for sign in tax_id if sign.isdigit()]
        weighted = sum(digit * weight for digit, weight in zip(digits[:10], range(11, 1, -1), strict=True))
        assert digits[10] != weighted * 10 % 11 % 10


def test_the_gift_shops_countries_all_have_names_and_streets() -> None:
    assert set(COUNTRY_CODES.values()) <= PLACES.keys()
    assert len(set(COUNTRY_CODES.values())) >= 33


def test_money_is_never_rounded() -> None:
    assert str(money("18.0", "GBP")) == "18.00"
    with pytest.raises(ValueError, match="more digits"):
        money("0.001", "GBP")


@pytest.mark.parametrize("layout", ["lines", "array"])
def test_a_file_of_events_is_read_either_way(tmp_path: Path, layout: str) -> None:
    events = list(open_set("sample", source="https://other.example", orders=3, run="aaaa").events)
    path = tmp_path / "events.json"
    path.write_text(json.dumps(events) if layout == "array" else "\n".join(map(json.dumps, events)) + "\n")
    assert list(open_set(str(path), source=SHOP).events) == events
    assert len(list(open_set(str(path), source=SHOP, orders=2).events)) == 2


def test_an_entry_without_an_envelope_gets_one(tmp_path: Path) -> None:
    path = tmp_path / "orders.jsonl"
    path.write_text('\n{"order_number": "A-1"}\n')
    (event,) = open_set(str(path), source=SHOP).events
    assert (event["source"], event["type"], event["data"]) == (SHOP, "order_placed", {"order_number": "A-1"})


@pytest.mark.parametrize("text", ["{", '["a"]', '{"specversion": "1.0", "type": "other", "data": {}}', "[1", "3"])
def test_a_file_that_holds_something_else_is_refused_by_its_place_not_its_text(tmp_path: Path, text: str) -> None:
    path = tmp_path / "events.json"
    path.write_text(text)
    with pytest.raises(Misused) as refusal:
        list(open_set(str(path), source=SHOP).events)
    assert refusal.value.__cause__ is None
    assert "other" not in str(refusal.value).replace(str(path), "")


def test_an_unknown_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Misused, match="no order set and no file"):
        open_set(str(tmp_path / "nothing"), source=SHOP)
