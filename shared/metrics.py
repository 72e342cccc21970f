"""What a process counts, for Prometheus. Labels are closed sets: service, type, ending, kind of call, state; never an order or a person."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from shared.policy import load

REGISTRY = CollectorRegistry()
_LABELS = load().observed.metric_labels

messages = Counter(
    "brownpaper_messages", "Deliveries handled, by type and ending", _LABELS["brownpaper_messages"], registry=REGISTRY
)
batch_size = Histogram(
    "brownpaper_batch_size",
    "Deliveries in one transaction",
    _LABELS["brownpaper_batch_size"],
    buckets=(1, 2, 5, 10, 20, 50, 100, 200),
    registry=REGISTRY,
)
published = Counter(
    "brownpaper_published", "Events given to the broker, by what it said", _LABELS["brownpaper_published"], registry=REGISTRY
)
calls = Histogram(
    "brownpaper_call_seconds",
    "Calls to outside parties, by kind and ending",
    _LABELS["brownpaper_call_seconds"],
    buckets=(0.005, 0.02, 0.05, 0.1, 0.5, 1, 5, 30),
    registry=REGISTRY,
)
requests = Counter(
    "brownpaper_http_requests", "HTTP requests, by door and status", _LABELS["brownpaper_http_requests"], registry=REGISTRY
)

dropped_answers = Counter("brownpaper_dropped_answers", "Answers that the storefront did not fetch in time", registry=REGISTRY)

# What stands in the service's tables, as the janitor last counted it.
outbox_rows = Gauge("brownpaper_outbox_rows", "Events that the broker has not confirmed yet", ["service"], registry=REGISTRY)
outbox_oldest_seconds = Gauge(
    "brownpaper_outbox_oldest_seconds", "Age of the oldest event that is not confirmed", ["service"], registry=REGISTRY
)
held = Gauge("brownpaper_held", "Messages that wait (later) or need a person (parked)", ["service", "state"], registry=REGISTRY)
open_calls = Gauge(
    "brownpaper_open_calls",
    "Calls to outside parties that are not settled: open, or parked",
    ["service", "state"],
    registry=REGISTRY,
)
inbox_rows = Gauge("brownpaper_inbox_rows", "Claims in the inbox, as PostgreSQL estimates them", ["service"], registry=REGISTRY)
inbox_cleared = Counter("brownpaper_inbox_cleared", "Claims behind the horizon, forgotten", ["service"], registry=REGISTRY)


stuck_orders = Gauge(
    "brownpaper_stuck_orders",
    "Orders that have not moved in time, of all processes together, by state",
    ["state"],
    registry=REGISTRY,
)


incidents = Counter(
    "brownpaper_incidents",
    "What was noticed that must not be: broken envelopes, broken records",
    ["service", "kind"],
    registry=REGISTRY,
)
retention_overdue = Gauge(
    "brownpaper_retention_overdue_seconds",
    "For how long the oldest thing that should be gone has been overdue, by clearing; 0 where nothing is",
    ["service", "clearing"],
    registry=REGISTRY,
)
complaints = Gauge(
    "brownpaper_complaints",
    "Complaints that are open, and those of them that should have been answered by now, of all processes together",
    _LABELS["brownpaper_complaints"],
    registry=REGISTRY,
)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    text: bytes = generate_latest(REGISTRY)
    return text


def labels_by_metric() -> dict[str, tuple[str, ...]]:
    """Every metric of this process with its labels."""
    collectors = set(REGISTRY._collector_to_names)
    return {collector._name: tuple(collector._labelnames) for collector in collectors}
