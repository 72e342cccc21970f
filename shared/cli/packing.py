"""What a parcel weighs and measures when nobody is there to weigh it: plausible, and the same for the same lines."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

_PACKAGING_GRAMS = 80
_MOST_GRAMS = 30_000  # what the common ground services still take in one parcel
_LEAST_MM, _MOST_MM = 20, 1_200


class Size(Protocol):
    """What one piece weighs and measures."""

    @property
    def weight_grams(self) -> int: ...
    @property
    def length_mm(self) -> int: ...
    @property
    def width_mm(self) -> int: ...
    @property
    def height_mm(self) -> int: ...


def packed(lines: Sequence[Mapping[str, Any]], sizes: Mapping[str, Size]) -> dict[str, int]:
    """Weight and outer size of one parcel with these lines.

    A SKU in `sizes` counts with its own; any other as something small, its weight following from its SKU. The box is as long
    and wide as the largest piece and grows in height until the volume fits; both ends are bounded by what a carrier takes.
    """
    grams, volume, length, width, height = _PACKAGING_GRAMS, 0, 120, 90, 20
    for line in lines:
        sku, quantity = str(line.get("sku", "")), int(line.get("quantity", 1))
        size = sizes.get(sku)
        if size is None:
            grams += quantity * (15 + zlib.crc32(sku.encode()) % 240)
            volume += quantity * 60_000
            continue
        grams += quantity * size.weight_grams
        volume += quantity * size.length_mm * size.width_mm * size.height_mm
        length, width, height = max(length, size.length_mm), max(width, size.width_mm), max(height, size.height_mm)
    height = max(height, -(-volume // (length * width)))
    return {
        "weight_grams": min(grams, _MOST_GRAMS),
        "length_mm": _bounded(length),
        "width_mm": _bounded(width),
        "height_mm": _bounded(height),
    }


def _bounded(millimetres: int) -> int:
    return max(_LEAST_MM, min(millimetres, _MOST_MM))
