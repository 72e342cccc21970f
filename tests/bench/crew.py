"""The warehouse crew of a measured run: picks, packs and hands over in bulk of 50, and tells the carrier's driver."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from shared.cli.packing import packed
from tests.bench.patience import NothingMoves, Patience

BULK = 50
_LOOK_AGAIN_SECONDS = 0.05
_SCANS = ["DE"]  # one delivered webhook for each parcel

Item = Mapping[str, Any]


class Wicket:
    """One HTTP address over one connection that is kept open. For one thread."""

    def __init__(self, url: str, token: str | None = None) -> None:
        parts = urlsplit(url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        self._headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The answer's JSON. Raises NothingMoves for an answer that is no success."""
        data = None if body is None else json.dumps(body).encode()
        self._connection.request(method, path, body=data, headers=self._headers)
        response = self._connection.getresponse()
        content = response.read()
        if response.status >= 300:
            raise NothingMoves(f"{method} {path.partition('?')[0]} answered {response.status}")
        return json.loads(content) if content else None

    def close(self) -> None:
        self._connection.close()


def shipping_door(env: Mapping[str, str]) -> Wicket:
    return Wicket(env["SHIPPING_HTTP_URL"], env["STAFF_TOKEN"])


def packing_of(item: Item) -> dict[str, int]:
    """What the parcel weighs and measures, from its lines."""
    return packed(item.get("lines") or (), {})


def collect(carrier: Wicket, tracking_numbers: Sequence[str]) -> None:
    """Give these parcels to the driver; each is scanned once, as delivered."""
    carrier.ask("POST", "/_sandbox/collect", {"tracking_numbers": list(tracking_numbers), "scans": _SCANS})


class BulkCrew:
    """Works until all orders of a run are handed over, each station in bulk of 50; only the last bulk of a run may be smaller."""

    def __init__(self, env: Mapping[str, str], orders: int) -> None:
        self._shipping = shipping_door(env)
        self._carrier = Wicket(env["CARRIER_SANDBOX_URL"])
        self._left = dict.fromkeys(("to_pick", "to_pack", "to_hand_over"), orders)

    def work(self) -> None:
        """Raises NothingMoves when no station can do anything for long."""
        patience = Patience()
        while any(self._left.values()):
            # The last station first, so that parcels flow.
            done = self._hand_over() + self._step("to_pack", "packed", packing_of) + self._step("to_pick", "picked", lambda _: {})
            if patience.is_over(dict(self._left)):
                raise NothingMoves(f"the crew waits, and has left: {self._left}")
            if not done:
                time.sleep(_LOOK_AGAIN_SECONDS)

    def close(self) -> None:
        self._shipping.close()
        self._carrier.close()

    def _waiting(self, state: str) -> list[Item]:
        """A whole bulk, or none."""
        wanted = min(BULK, self._left[state])
        if not wanted:
            return []
        items: list[Item] = self._shipping.ask("GET", f"/work?state={state}&limit={wanted}")["items"]
        return items if len(items) == wanted else []

    def _step(self, state: str, verb: str, said: Any) -> int:
        items = self._waiting(state)
        return self._tell(state, verb, [{"pick_list": item["pick_list"], **said(item)} for item in items])

    def _hand_over(self) -> int:
        items = self._waiting("to_hand_over")
        done = self._tell("to_hand_over", "handed_over", [{"parcel": item["parcel"]} for item in items])
        if done:
            collect(self._carrier, [item["tracking_number"] for item in items])
        return done

    def _tell(self, state: str, verb: str, told: Sequence[Item]) -> int:
        if not told:
            return 0
        results = self._shipping.ask("POST", f"/{verb}", {"items": told})["results"]
        if any(result["ending"] != "done" for result in results):
            raise NothingMoves(f"the shipping service did not take all of {verb}")
        self._left[state] -= len(told)
        return len(told)
