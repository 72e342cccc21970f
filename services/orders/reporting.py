"""The door of orders for the statistics that may be shared."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from services.orders.department_table import table_of
from services.orders.sales import EVERY_SHOP, Month, Release, refuse_unless_due
from services.orders.sales_store import SalesStore
from services.orders.settings import OrdersSettings
from shared.contracts.errors import Refused
from shared.database import Database
from shared.delivery.entrypoints import Door
from shared.delivery.reading import faults_of
from shared.dependencies import Made, settings_themselves
from shared.http_door import Answer, Request, StatusError, serve


class ReportForm(BaseModel):
    """What staff send: the month (`2026-10`, UTC), and the shop where not all are meant."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    month: str
    source: str | None = None


def _sales(settings: OrdersSettings) -> SalesStore:
    return SalesStore(Database(settings.database_url, name="orders.sales", most_connections=1))


class Reporting(Door):
    """See the module."""

    sales = Made(_sales)
    settings = Made(settings_themselves)

    @serve("POST", "/reports/departments", token="staff_token", in_flight=2)
    def report_departments(self, request: Request) -> Answer:
        try:
            form = ReportForm.model_validate_json(request.body)
        except ValidationError as error:
            fault = faults_of(error)[0]
            raise StatusError(422, fault.code, fault.path) from None
        if form.source is not None and form.source not in self.settings.storefront_sources:
            raise StatusError(422, "source_unknown", "/source")
        release = release_month(self.sales, self.settings, Month.read(form.month), form.source, datetime.now(UTC))
        shown = {"released_at": release.released_at, **release.document}
        return Answer(200, shown, {"Cache-Control": "no-store"})


def release_month(sales: SalesStore, settings: Any, month: Month, source: str | None, at: datetime) -> Release:
    """Let a month out, or show what was let out of it. Its sales are forgotten after that. Raises a refusal with 409."""
    cut = source or EVERY_SHOP
    with sales.ledger() as ledger:
        release = ledger.release_of(month)
        try:
            refuse_unless_due(month, cut, release, at)
        except Refused as error:
            raise StatusError(409, error.code, error.faults[0].path) from None
        if release is None:
            least, catalogue = settings.report_least_persons, settings.catalogue_departments or None
            document = table_of(month, cut, ledger.count(month, cut), least_persons=least, catalogue=catalogue)
            release = Release(month.name, cut, least, document, at)
            ledger.write(release)
    sales.forget_counted()
    return release
