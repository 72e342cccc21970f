"""What the services say they have handled: to wait until nothing is left, for the size of batches, and to hold the count against hops."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping

import requests

from tests.bench.hops import COURSE, hops
from tests.bench.patience import NothingMoves, Patience

_SAMPLE = re.compile(r"(\w+?)(?:_total)?\{(.*)\} (\S+)")
_LABEL = re.compile(r'(\w+)="([^"]*)"')
# What services tell each other now and then, and no order leads to.
_BESIDE_ORDERS = frozenset(
    {
        *("announce_intake_key", "intake_key_published", "receipt_key_published"),
        *("anchor_record", "record_anchored", "incident_noticed"),
    }
)
_POLL_SECONDS = 0.05


class Counts:
    """One reading of all four services' metrics."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.done: dict[str, int] = {}
        self.otherwise: dict[str, int] = {}
        self._batches: dict[str, tuple[float, float]] = {}
        for service in COURSE:
            self._read(service, requests.get(env[f"{service.upper()}_HTTP_URL"] + "/metrics", timeout=10).text)

    def batch_mean(self, before: Counts) -> dict[str, float]:
        """How many things went into one transaction, on average, since `before`."""
        means = {}
        for service, (handled, transactions) in self._batches.items():
            handled_before, transactions_before = before._batches[service]
            means[service] = round((handled - handled_before) / max(1.0, transactions - transactions_before), 1)
        return means

    def _read(self, service: str, text: str) -> None:
        done = otherwise = 0.0
        sums = {"brownpaper_batch_size_sum": 0.0, "brownpaper_batch_size_count": 0.0}
        for name, labels, value in _SAMPLE.findall(text):
            told = dict(_LABEL.findall(labels))
            if name in sums:
                sums[name] = float(value)
            elif name == "brownpaper_messages" and told["type"] not in _BESIDE_ORDERS:
                if told["ending"] == "done":
                    done += float(value)
                else:
                    otherwise += float(value)
        self.done[service], self.otherwise[service] = int(done), int(otherwise)
        self._batches[service] = sums["brownpaper_batch_size_sum"], sums["brownpaper_batch_size_count"]


def await_all_handled(env: Mapping[str, str], before: Counts, orders: int) -> Counts:
    """Wait until every service has handled all that so many orders lead to, and give that reading.

    Raises NothingMoves where less is handled for long, and where more is: then `hops` counts wrong, or something came twice.
    """
    wanted = {service: before.done[service] + orders * hops(service) for service in COURSE}
    patience = Patience()
    while (counts := Counts(env)).done != wanted:
        too_many = {service for service in wanted if counts.done[service] > wanted[service]}
        if too_many or patience.is_over(counts.done):
            differs = {service: (counts.done[service], wanted[service]) for service in wanted}
            raise NothingMoves(f"handled and awaited differ: {differs}; ended otherwise: {counts.otherwise}")
        time.sleep(_POLL_SECONDS)
    return counts
