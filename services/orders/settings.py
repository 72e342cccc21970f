"""What can be set for orders."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from shared.settings import DeliverySettings, mapping, names


class OrdersSettings(DeliverySettings):
    """`storefront_sources`, `policy_versions`: comma-separated; of `shipping_services` only the names count here."""

    storefront_sources: Annotated[frozenset[str], NoDecode] = Field(min_length=1)
    storefront_token: str
    staff_token: str
    policy_versions: Annotated[frozenset[str], NoDecode] = frozenset({"2013-08-19"})
    shipping_services: Annotated[dict[str, str], NoDecode]
    accept_clear_parts_over_amqp: bool = False

    _names = field_validator("storefront_sources", "policy_versions", mode="before")(names)
    _mapping = field_validator("shipping_services", mode="before")(mapping)
