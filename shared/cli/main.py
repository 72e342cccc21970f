"""The command `brownpaper`: every sub-command, put together."""

from __future__ import annotations

import typer

from shared.cli import backups, crew, demo, keyrings, orders, parked, privacy, releasing, retaining, staff, storefront, stuck

app = typer.Typer(
    name="brownpaper",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Brown Paper: order fulfilment that keeps only what each service may know. Exit codes: 0 done, 1 not done, 2 usage.",
)
app.add_typer(storefront.app, name="storefront")
app.add_typer(orders.app, name="orders")
app.add_typer(privacy.app, name="privacy")
app.add_typer(parked.app, name="parked")
privacy.app.command(name="rotate-master")(keyrings.rotate_master)
privacy.app.add_typer(keyrings.audit, name="audit")
privacy.app.command(name="retention")(retaining.retention)
privacy.app.add_typer(retaining.hold, name="hold")
privacy.app.command(name="release")(releasing.release)
app.add_typer(staff.app, name="staff")
app.command(name="backup")(backups.backup)
app.command(name="restore")(backups.restore)
app.command(name="stuck")(stuck.stuck)
app.command(name="crew")(crew.crew)
app.command(name="demo")(demo.demo)


if __name__ == "__main__":
    app()
