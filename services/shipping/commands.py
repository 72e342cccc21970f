"""What staff and the carrier may ask of shipping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from shared.contracts.values import OrderKey

PickListName = Annotated[str, Field(pattern=r"^PL-[A-Z2-7]{12}$")]
ParcelName = Annotated[str, Field(pattern=r"^PC-[A-Z2-7]{12}-[0-9]{1,3}$")]
Millimetres = Annotated[int, Field(ge=1, le=10_000)]


class _Form(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, hide_input_in_errors=True)


class PickedForm(_Form):
    """`POST /picked`: all lines of this pick list are in the tote."""

    pick_list: PickListName


class PackedForm(_Form):
    """`POST /packed`: the parcel's weight and outer size."""

    pick_list: PickListName
    weight_grams: Annotated[int, Field(ge=1, le=1_000_000)]
    length_mm: Millimetres
    width_mm: Millimetres
    height_mm: Millimetres


class HandedOverForm(_Form):
    """`POST /handed_over`: the carrier has this parcel."""

    parcel: ParcelName


class TrackingData(BaseModel):
    """What we read of the carrier's webhook; everything else is dropped unread (clause 16)."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
    tracking_number: Annotated[str, Field(pattern=r"^[A-Za-z0-9._~-]{1,64}$")]
    status_code: Annotated[str, Field(pattern=r"^[A-Z]{2}$")]


class TrackingForm(BaseModel):
    """ShipEngine's tracking webhook, `API_TRACK` and `TRACK_EVENT_V2` alike."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)
    data: TrackingData


@dataclass(frozen=True, slots=True)
class Pick:
    about: OrderKey


@dataclass(frozen=True, slots=True)
class Pack:
    about: OrderKey
    weight_grams: int
    length_mm: int
    width_mm: int
    height_mm: int


@dataclass(frozen=True, slots=True)
class HandOver:
    about: OrderKey


@dataclass(frozen=True, slots=True)
class NoteTracking:
    """The carrier has scanned the parcel with this tracking number."""

    tracking_number: str
    status_code: str
