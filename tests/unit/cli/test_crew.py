"""The crew walks its rounds through the staff's doors: everything once, refusals set aside, later asked again."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from shared.cli import crew as crew_module
from shared.cli.crew import Crew
from shared.cli.doors import Unreachable
from shared.cli.order_sets.marketplace import ProductSize
from shared.cli.packing import packed


class Warehouse:
    """Shipping and the carrier's driver in one: keeps each pick list's state as the doors tell it."""

    def __init__(self, count: int, *, refuses: str = "", later: str = "", down: int = 0) -> None:
        self.states = {f"PL-{number}": "to_pick" for number in range(count)}
        self.refuses, self.later, self.down = refuses, later, down
        self.collected: list[str] = []
        self.sizes_told: list[int] = []
        self.packages: dict[str, dict[str, Any]] = {}

    def door(self, name: str, _url: str, **_options: Any) -> Warehouse:
        assert name in {"The shipping service", "The carrier sandbox"}
        return self

    def get_json(self, path: str, *, state: str, limit: int) -> Any:
        assert path == "/work"
        if self.down:
            self.down -= 1
            raise Unreachable("The shipping service does not answer.")
        items = [
            {
                "pick_list": name,
                "order_number": name.replace("PL", "A"),
                "parcel": None if at in {"to_pick", "to_pack"} else name.replace("PL", "PC"),
                "tracking_number": name.replace("PL", "1Z"),
                "lines": [{"line": 1, "sku": "S", "title": "", "quantity": 2}],
            }
            for name, at in self.states.items()
            if at == state
        ]
        return {"items": items[:limit]}

    def post_json(self, path: str, body: Any) -> Any:
        if path == "/_sandbox/collect":
            self.collected += body["tracking_numbers"]
            return {"accepted": len(body["tracking_numbers"]), "refused": []}
        self.sizes_told.append(len(body["items"]))
        following = {"/picked": "to_pack", "/packed": "to_hand_over", "/handed_over": "gone"}[path]
        key = "parcel" if path == "/handed_over" else "pick_list"
        results = []
        for item in body["items"]:
            name = item[key].replace("PC", "PL")
            if path == "/packed":
                self.packages[name] = item
            if name == self.refuses:
                results.append({key: item[key], "ending": "refused", "reasons": [{"code": "withdrawn", "path": ""}]})
            elif name == self.later:
                self.later = ""
                results.append({key: item[key], "ending": "later", "reasons": []})
            else:
                self.states[name] = following
                results.append({key: item[key], "ending": "done", "reasons": []})
        return {"results": results}

    def get_bytes(self, path: str) -> bytes:
        return f"%PDF {path}".encode()


SETTINGS = {"SHIPPING_HTTP_URL": "http://127.0.0.1:9", "STAFF_TOKEN": "t", "CARRIER_SANDBOX_URL": "http://127.0.0.1:8"}


def crew_at(monkeypatch: pytest.MonkeyPatch, warehouse: Warehouse, **options: Any) -> Crew:
    monkeypatch.setattr(crew_module, "Door", warehouse.door)
    return Crew(SETTINGS, pause_seconds=0, **options)


def test_everything_is_picked_packed_handed_over_and_collected_once(monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(120)
    crew = crew_at(monkeypatch, warehouse)
    crew.work(follow=False)
    assert set(warehouse.states.values()) == {"gone"}
    assert sorted(warehouse.collected) == sorted(f"1Z-{number}" for number in range(120))
    assert (crew.done["picked"], crew.done["packed"], crew.done["handed_over"], crew.done["collected"]) == (120, 120, 120, 120)
    assert max(warehouse.sizes_told) <= 50
    assert not crew.refused


def test_what_is_refused_is_counted_once_and_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(60, refuses="PL-0")
    crew = crew_at(monkeypatch, warehouse)
    crew.work(follow=False)
    assert crew.refused == {"picked: withdrawn": 1}
    assert crew.done["handed_over"] == 59


def test_what_is_for_later_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(1, later="PL-0")
    crew = crew_at(monkeypatch, warehouse)
    crew.work(follow=False)
    assert crew.done["handed_over"] == 1


def test_a_service_that_is_down_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(3, down=4)
    troubles: list[str] = []
    crew = crew_at(monkeypatch, warehouse, on_trouble=troubles.append)
    crew.work(follow=False, on_the_way=lambda: not crew.done["handed_over"])
    assert crew.done["handed_over"] == 3
    assert len(troubles) == 4


def test_a_service_that_stays_down_ends_the_crew(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Unreachable):
        crew_at(monkeypatch, Warehouse(3, down=4)).work(follow=False)


def test_the_crew_stays_while_orders_are_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    warehouse = Warehouse(0)
    asked = 0

    def on_the_way() -> bool:
        nonlocal asked
        asked += 1
        if asked == 20:
            warehouse.states["PL-9"] = "to_pick"
        return asked < 21

    crew = crew_at(monkeypatch, warehouse)
    crew.work(follow=False, on_the_way=on_the_way)
    assert crew.done["handed_over"] == 1


def test_following_ends_only_when_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()
    stop.set()
    crew = crew_at(monkeypatch, Warehouse(1), stop=stop)
    crew.work(follow=True)
    assert crew.done.total() == 0


def test_papers_are_kept_by_name_and_fetched_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crew = crew_at(monkeypatch, Warehouse(2), papers=tmp_path, token="a session")
    crew.work(follow=False)
    kept = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.pdf"))
    assert kept == ["labels/PC-0.pdf", "labels/PC-1.pdf", "pick_lists/PL-0.pdf", "pick_lists/PL-1.pdf"]
    assert (tmp_path / "labels" / "PC-0.pdf").read_bytes() == b"%PDF /labels/PC-0.pdf"


def test_a_machine_keeps_no_label(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crew_at(monkeypatch, Warehouse(2), papers=tmp_path).work(follow=False)
    assert [path.parent.name for path in tmp_path.rglob("*.pdf")] == ["pick_lists"] * 2


def test_a_parcel_weighs_what_its_pieces_weigh() -> None:
    sizes = {"A": ProductSize(500, 300, 200, 100)}
    told = packed([{"sku": "A", "quantity": 3}], sizes)
    assert told["weight_grams"] == 80 + 1500
    assert (told["length_mm"], told["width_mm"]) == (300, 200)
    assert told["length_mm"] * told["width_mm"] * told["height_mm"] >= 3 * 300 * 200 * 100


@pytest.mark.parametrize("quantity", [1, 12, 99_999])
def test_an_unknown_product_weighs_the_same_each_time_and_no_parcel_is_too_much(quantity: int) -> None:
    lines = [{"sku": "85123A", "quantity": quantity}]
    told = packed(lines, {})
    assert told == packed(lines, {})
    assert 80 < told["weight_grams"] <= 30_000
    assert all(20 <= told[side] <= 1_200 for side in ("length_mm", "width_mm", "height_mm"))
