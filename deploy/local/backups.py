"""Backups of the two clusters, each in a folder of its own, and what brings them back.

    DIR/data/20261125T101500Z/      one dump for each service's database, and a manifest
    DIR/keyring/20261125T101503Z/   the same of the keyrings; kept for a shorter time

The data is dumped first: every envelope in it has its key in the dump of the keyrings that follows.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Literal

from psycopg.conninfo import conninfo_to_dict

from deploy.local import databases, postgres
from deploy.local.processes import StartError

Cluster = Literal["data", "keyring"]
CLUSTERS: Final[tuple[Cluster, ...]] = ("data", "keyring")
_STAMP = "%Y%m%dT%H%M%SZ"
_LONGEST_SECONDS = 3600
# libpq's words for what an address says, as its programs take them from the environment; the database is named apart.
_ENVIRONMENT = {
    **{name: f"PG{name.upper()}" for name in ("host", "hostaddr", "port", "user", "password", "sslmode", "sslrootcert")},
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "target_session_attrs": "PGTARGETSESSIONATTRS",
}


class BackupError(StartError):
    """A backup could not be made, found or brought back; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Target:
    """A database of the stack: whose it is, and the administrator's address of its server."""

    service: str
    cluster: Cluster
    admin_url: str
    name: str
    password: str = ""


def back_up(
    targets: list[Target],
    folder: Path,
    at: datetime,
    *,
    keep: Mapping[Cluster, timedelta],
    journals: Mapping[str, Mapping[str, object]] | None = None,
) -> dict[Cluster, Path]:
    """Dump every database, each cluster into a folder named after the time, and remove what is older than it is kept for.

    `journals` is how far each service's erasure journal goes, to be told again by `journals_of`. A folder is there as a whole or not at all.
    Raises BackupError.
    """
    made = {}
    for cluster in CLUSTERS:
        place = folder / cluster / at.astimezone(UTC).strftime(_STAMP)
        draft = place.with_name(place.name + ".partial")
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(mode=0o700, parents=True)
        for parent in (folder, folder / cluster):
            parent.chmod(0o700)
        # All at once: the closer their moments, the less one service's dump knows of what another's does not.
        ours = [it for it in targets if it.cluster == cluster]
        with ThreadPoolExecutor(max(1, len(ours))) as pool:
            files = dict(pool.map(_dump, ours, [draft] * len(ours)))
        manifest = {"cluster": cluster, "made_at": at.astimezone(UTC).isoformat(), "files": files, "journals": journals or {}}
        (draft / "manifest.json").write_text(json.dumps(manifest, indent=1))
        draft.replace(place)
        made[cluster] = place
    for cluster, horizon in keep.items():
        for old in standing(folder, cluster):
            if made_at(old) < at - horizon:
                shutil.rmtree(old)
    return made


def _dump(target: Target, folder: Path) -> tuple[str, str]:
    file = folder / f"{target.service}.dump"
    _run("pg_dump", target.admin_url, ["--format=custom", "--no-owner", "--no-privileges", "--file", str(file), target.name])
    return target.service, _digest(file)


def standing(folder: Path, cluster: Cluster) -> list[Path]:
    """The backups of a cluster, the oldest first."""
    found = [it for it in (folder / cluster).glob("*Z") if (it / "manifest.json").is_file()]
    return sorted(found, key=lambda it: it.name)


def made_at(backup: Path) -> datetime:
    """When it was made."""
    return datetime.strptime(backup.name, _STAMP).replace(tzinfo=UTC)


def choose(folder: Path, cluster: Cluster, stamp: str | None = None) -> Path:
    """The backup of this time, or the newest. Raises BackupError where there is none, or where it is not as it was written."""
    found = [it for it in standing(folder, cluster) if stamp in (None, it.name)]
    if not found:
        raise BackupError(f"There is no {'such ' if stamp else ''}backup of the {cluster} cluster in {folder}.")
    chosen = found[-1]
    for service, digest in json.loads((chosen / "manifest.json").read_text())["files"].items():
        file = chosen / f"{service}.dump"
        if not file.is_file() or _digest(file) != digest:
            raise BackupError(f"{file} is not as it was written.")
    return chosen


def journals_of(backup: Path) -> dict[str, dict[str, Any]]:
    """How far each service's erasure journal went when the backup was made; a service that it tells nothing of is not there."""
    found: dict[str, dict[str, Any]] = json.loads((backup / "manifest.json").read_text()).get("journals", {})
    return found


def bring_back(target: Target, backup: Path) -> None:
    """Put a database back as it was, whatever stands there now; nobody may be using it. What this release has beyond it is added.

    Safe to repeat. Raises BackupError, psycopg.Error.
    """
    databases.drop(target.admin_url, target.name)
    url = databases.ensure(target.admin_url, target.name, target.password)
    file = backup / f"{target.service}.dump"
    arguments = ["--no-owner", "--no-privileges", f"--role={target.name}", "--single-transaction", "--exit-on-error"]
    _run("pg_restore", target.admin_url, [*arguments, f"--dbname={target.name}", str(file)])
    if target.cluster == "keyring":
        databases.bring_keyring(target.admin_url, target.name, target.password)
    else:
        databases.migrate(url, databases.service_folders(target.service))


def _run(program: str, admin_url: str, arguments: list[str]) -> None:
    programs = postgres.find_programs()
    path = str(programs / program) if programs is not None else shutil.which(program)
    if path is None:
        raise BackupError(f"{program} of PostgreSQL is not on this machine.")
    # By the environment: a command line is anybody's to read. All that the address says goes along, above all what is asked of the other side's
    # certificate.
    said = conninfo_to_dict(admin_url)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C.UTF-8"}
    environment |= {name: str(said[key]) for key, name in _ENVIRONMENT.items() if key in said}
    try:
        done = subprocess.run(
            [path, *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LONGEST_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        raise BackupError(f"{program} did not end.") from None
    if done.returncode != 0:
        # Its words may quote a row.
        raise BackupError(f"{program} of {arguments[-1].rpartition('/')[2]} failed with exit code {done.returncode}.")


def _digest(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
