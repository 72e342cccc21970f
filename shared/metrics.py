"""What a process counts, for Prometheus. Labels are closed sets: service, type, ending, kind of call, state; never an order or a person.

Which labels a metric has is said by the policy alone; one that it does not name cannot be made.
"""

from __future__ import annotations

from typing import Any, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shared.policy import load

REGISTRY = CollectorRegistry()
_LABELS = load().observed.metric_labels
_Metric = TypeVar("_Metric", Counter, Gauge, Histogram)


def _made(kind: type[_Metric], name: str, says: str, **options: Any) -> _Metric:
    """A metric with the labels that the policy gives it; KeyError for one that the policy does not know."""
    return kind(f"brownpaper_{name}", says, _LABELS[f"brownpaper_{name}"], registry=REGISTRY, **options)


messages = _made(Counter, "messages", "Deliveries handled, by type and ending")
batch_size = _made(Histogram, "batch_size", "Deliveries in one transaction", buckets=(1, 2, 5, 10, 20, 50, 100, 200))
published = _made(Counter, "published", "Events given to the broker, by what it said")
calls = _made(
    Histogram, "call_seconds", "Calls to outside parties, by kind and ending", buckets=(0.005, 0.02, 0.05, 0.1, 0.5, 1, 5, 30)
)
requests = _made(Counter, "http_requests", "HTTP requests, by door and status")
dropped_answers = _made(Counter, "dropped_answers", "Answers that the storefront did not fetch in time")

# What stands in the service's tables, as the janitor last counted it.
outbox_rows = _made(Gauge, "outbox_rows", "Events that the broker has not confirmed yet")
outbox_oldest_seconds = _made(Gauge, "outbox_oldest_seconds", "Age of the oldest event that is not confirmed")
held = _made(Gauge, "held", "Messages that wait (later) or need a person (parked)")
open_calls = _made(Gauge, "open_calls", "Calls to outside parties that are not settled: open, or parked")
inbox_rows = _made(Gauge, "inbox_rows", "Claims in the inbox, as PostgreSQL estimates them")
inbox_cleared = _made(Counter, "inbox_cleared", "Claims behind the horizon, forgotten")

stuck_orders = _made(Gauge, "stuck_orders", "Orders that have not moved in time, of all processes together, by state")
incidents = _made(Counter, "incidents", "What was noticed that must not be: broken envelopes, broken records")
retention_overdue = _made(
    Gauge,
    "retention_overdue_seconds",
    "For how long the oldest thing that should be gone has been overdue, by clearing; 0 where nothing is",
)
complaints = _made(
    Gauge,
    "complaints",
    "Complaints that are open, and those of them that should have been answered by now, of all processes together",
)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    text: bytes = generate_latest(REGISTRY)
    return text


def labels_by_metric() -> dict[str, tuple[str, ...]]:
    """Every metric of this process with its labels."""
    collectors = set(REGISTRY._collector_to_names)
    return {collector._name: tuple(collector._labelnames) for collector in collectors}
