"""What can be set for orders."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from services.orders.deadlines import STAGES
from shared.setting_kinds import Durations, Mapping, Names, NamesOrNone, ReadableFile, Sources, Token, named_among
from shared.settings import DeliverySettings, ErasureSettings, StaffSettings

_NONE: dict[str, timedelta] = {}


class OrdersSettings(DeliverySettings, StaffSettings, ErasureSettings):
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
    announcements_per_30_days: int = Field(default=2, ge=0)
    """How many announcements may go out in 30 days before a second one of the staff must send with the first."""
    notice_days: float = Field(default=90, gt=0)
    """For how long `GET /policy` shows what changed."""
    export_days: float = Field(default=7, gt=0)
    """How long a person's copy can be fetched: the storefront's contract."""
    report_least_persons: int = Field(default=5, ge=3)
    """How many persons must stand behind whatever `brownpaper report departments` shows."""
    catalogue_departments: NamesOrNone = frozenset()
    """The catalogue's departments, comma-separated; any other counts as `other`. Where none is named, whatever orders name."""
    incident_report_hours: float = Field(default=72, gt=0)
    """Within how long of being noticed an incident should have been reported."""
