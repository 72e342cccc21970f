"""The two servers as containers of the repository's own `docker-compose.yml`, where a Docker engine runs."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

from deploy.local import secrets_file
from deploy.local.processes import StartError, write_private

_FILE = Path(__file__).resolve().parents[2] / "docker-compose.yml"
_PROBE_SECONDS = 10
_UP_SECONDS = 600


def engine_answers() -> bool:
    """Whether a Docker engine with the compose plugin can be used from here."""
    if shutil.which("docker") is None:
        return False
    for command in (["docker", "info"], ["docker", "compose", "version"]):
        try:
            done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=_PROBE_SECONDS, check=False)
        except (OSError, subprocess.TimeoutExpired):
            return False
        if done.returncode != 0:
            return False
    return True


class ComposeServers:
    """The broker and the two database servers of one folder's compose project, on free ports of loopback."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Two clones, or the demo and a running stack, are two projects.
        self._project = "brownpaper-" + hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:10]
        self._secrets = secrets_file.SecretsFile(folder / "compose-secrets.json")

    def start(self, services: list[str]) -> None:
        """Start these of `broker`, `data`, `keyring` and wait until they are healthy. Safe to repeat. Raises StartError."""
        # Compose reads the whole file, the parts that are not started too: every variable that it insists on gets a value.
        needed = sorted(set(re.findall(r"\$\{([A-Z_]+):\?", _FILE.read_text())))
        write_private(self._folder / "compose.env", "".join(f"{name}={self._secrets.token(name)}\n" for name in needed))
        self._compose("up", "--detach", "--wait", "--no-deps", *services)

    def admin_uri(self) -> str:
        password = quote(self._secrets.token("BROKER_ADMIN_PASSWORD"), safe="")
        return f"amqp://brownpaper-admin:{password}@{self._address('broker', 5672)}/brownpaper"

    def api_url(self) -> str:
        password = quote(self._secrets.token("BROKER_ADMIN_PASSWORD"), safe="")
        return f"http://brownpaper-admin:{password}@{self._address('broker', 15672)}"

    def database_url(self, service: str) -> str:
        password = quote(self._secrets.token(f"{service.upper()}_ADMIN_PASSWORD"), safe="")
        return f"postgresql://postgres:{password}@{self._address(service, 5432)}/postgres"

    def stop(self, *, remove: bool = False) -> None:
        """Stop the containers; with `remove` their data goes too. Safe to repeat."""
        self._compose(*(("down", "--volumes") if remove else ("stop",)))

    def running(self) -> list[str]:
        """The services of this project that run now."""
        rows = self._compose("ps", "--format", "json").strip().splitlines()
        return [str(json.loads(row)["Service"]) for row in rows if row.startswith("{")]

    def _address(self, service: str, port: int) -> str:
        return self._compose("port", service, str(port)).strip()

    def _compose(self, *words: str) -> str:
        command = ["docker", "compose", "--project-name", self._project, "--file", str(_FILE)]
        command += ["--env-file", str(self._folder / "compose.env"), *words]
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                stdin=subprocess.DEVNULL,
                text=True,
                timeout=_UP_SECONDS,
                check=False,
                env=os.environ.copy(),
            )
        except (OSError, subprocess.TimeoutExpired):
            raise StartError(f"docker compose {words[0]} did not end") from None
        if done.returncode != 0:
            raise StartError(f"docker compose {words[0]} failed:\n{done.stderr.strip()[-1500:]}")
        return done.stdout
