"""What can be set for orders."""

from __future__ import annotations

from shared.setting_kinds import Mapping, Names, Sources, Token
from shared.settings import DeliverySettings


class OrdersSettings(DeliverySettings):
    """`storefront_sources`, `policy_versions`: comma-separated; of `shipping_services` only the names count here."""

    storefront_sources: Sources
    storefront_token: Token
    staff_token: Token
    policy_versions: Names = frozenset({"2013-08-19"})
    shipping_services: Mapping
    accept_clear_parts_over_amqp: bool = False
