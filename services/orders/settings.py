"""What can be set for orders."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from services.orders.deadlines import STAGES
from shared.setting_kinds import Durations, Mapping, Names, ReadableFile, Sources, Token, named_among
from shared.settings import DeliverySettings, StaffSettings

_NONE: dict[str, timedelta] = {}


class OrdersSettings(DeliverySettings, StaffSettings):
    """`storefront_sources`, `policy_versions`: comma-separated; of `shipping_services` only the names count here."""

    storefront_sources: Sources
    storefront_token: Token
    staff_token: Token
    policy_versions: Names = frozenset({"2013-08-19"})
    shipping_services: Mapping
    accept_clear_parts_over_amqp: bool = False
    stuck_after: Annotated[Durations, named_among(STAGES)] = _NONE
    """How long an order may stay in a state before it counts as stuck, where it is not what `STAGES` says: `accepted=5m,picking=2d`."""
    stuck_count_seconds: float = Field(default=30, gt=0)
    """How often stuck orders are counted into the metric."""
    persons_key_file: ReadableFile
    """The secret by which persons who are gone are remembered, and receipts of orders are signed: 32 bytes in base64. It is never changed."""
    erasure_waits_days: float = Field(default=45, ge=0)
    """How long an erasure waits for the person's orders to end before it is refused with that reason."""
    tell_again_seconds: float = Field(default=600, gt=0)
    """After how long without a receipt a holder is told again."""
    export_days: float = Field(default=7, gt=0)
    """How long a person's copy can be fetched: the storefront's contract."""
