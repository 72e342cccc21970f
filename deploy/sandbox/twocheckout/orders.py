"""An order as 2Checkout keeps and shows it, and as the books tell of it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

FIRST_REF_NO = 200_000_000


def now() -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime())


@dataclass(slots=True)
class Order:
    ref_no: str
    external_reference: str | None
    currency: str
    total: Decimal
    body: dict[str, Any]
    status: str
    placed: str
    token: str
    test: bool
    declined: bool = False
    expected: str | None = None
    finished: str | None = None
    deliveries: int = 0
    refunded: Decimal = Decimal(0)


def body_of(order: Order, merchant_code: str, line_references: list[str]) -> dict[str, Any]:
    """The order object of REST 6.0, with what is read of it; the shape is that of the official SDKs' fixture."""
    total, currency = float(order.total), order.currency.lower()
    delivered = order.status in {"COMPLETE", "REFUND"}
    payment = {
        "Type": "TEST" if order.test else "CC",
        "Currency": currency,
        "PaymentMethod": {"FirstDigits": "4111", "LastDigits": "1111", "CardType": "Visa", "RecurringEnabled": False},
        "CustomerIP": order.body.get("CustomerIP"),
    }
    errors = {"PAYMENT_DECLINED": "The payment was declined by the issuing bank."} if order.declined else None
    return {
        "RefNo": order.ref_no,
        "OrderNo": 0 if not delivered else int(order.ref_no) - FIRST_REF_NO,
        "ExternalReference": order.external_reference,
        "ShopperRefNo": None,
        "Status": order.status,
        "ApproveStatus": "WAITING" if order.declined else "OK",
        "VendorApproveStatus": "OK",
        "MerchantCode": merchant_code,
        "Language": order.body.get("Language", "en"),
        "OrderDate": order.placed,
        "FinishDate": order.finished,
        "Source": order.body.get("Source"),
        "HasShipping": False,
        "BillingDetails": order.body["BillingDetails"],
        "DeliveryDetails": order.body.get("DeliveryDetails") or order.body["BillingDetails"],
        "PaymentDetails": payment,
        "Origin": "API",
        "TestOrder": order.test,
        "PayoutCurrency": order.currency,
        "DeliveryFinalized": delivered,
        "Errors": errors,
        "Items": [
            {**item, "LineItemReference": reference} for item, reference in zip(order.body["Items"], line_references, strict=True)
        ],
        "Currency": currency,
        "NetPrice": total,
        "GrossPrice": total,
        "NetDiscountedPrice": total,
        "GrossDiscountedPrice": total,
        "Discount": 0,
        "VAT": 0,
    }


def in_books(order: Order) -> dict[str, Any]:
    return {
        "reference": order.external_reference,
        "amount": str(order.total),
        "expected_amount": order.expected,
        "currency": order.currency,
        "status": order.status,
        "declined": order.declined,
        "deliveries_confirmed": order.deliveries,
        "refunded": str(order.refunded),
        "token": order.token,
    }
