"""The command `brownpaper`: every sub-command, put together."""

from __future__ import annotations

import typer

from shared.cli import (
    acknowledging,
    backups,
    crew,
    demo,
    department_report,
    incidents,
    keyrings,
    orders,
    parked,
    policy_changes,
    privacy,
    publishing,
    releasing,
    retaining,
    shapes,
    staff,
    storefront,
    stuck,
)

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
app.add_typer(department_report.app, name="report")
privacy.app.command(name="rotate-master")(keyrings.rotate_master)
privacy.app.add_typer(keyrings.audit, name="audit")
privacy.app.command(name="incident")(incidents.incident)
privacy.app.add_typer(incidents.app, name="incidents")
privacy.app.command(name="shape")(shapes.shape)
privacy.app.command(name="change")(policy_changes.change)
privacy.app.command(name="publish")(publishing.publish)
privacy.app.command(name="campaigns")(publishing.campaigns)
privacy.app.command(name="retention")(retaining.retention)
privacy.app.add_typer(retaining.hold, name="hold")
privacy.app.command(name="release")(releasing.release)
staff.app.command(name="acknowledge")(acknowledging.acknowledge)
app.add_typer(staff.app, name="staff")
app.command(name="backup")(backups.backup)
app.command(name="restore")(backups.restore)
app.command(name="announce")(publishing.announce)
app.command(name="stuck")(stuck.stuck)
app.command(name="crew")(crew.crew)
app.command(name="demo")(demo.demo)


if __name__ == "__main__":
    app()
