"""docker-compose.yml and the Dockerfile, checked without an engine: what they name exists."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.configuration import DEFAULTS

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_every_image_has_a_tag(name: str) -> None:
    assert re.search(r":[0-9][\w.-]*$", SERVICES[name]["image"])


def test_every_base_image_has_a_tag() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert bases
    assert all(re.search(r":[0-9]", base) for base in bases)


@pytest.mark.parametrize("name", sorted(name for name, service in SERVICES.items() if "-m" in service.get("command", [])))
def test_every_commands_module_exists(name: str) -> None:
    command = SERVICES[name]["command"]
    module = command[command.index("-m") + 1]
    found = importlib.util.find_spec(module)
    assert found is not None
    if found.submodule_search_locations is not None:
        assert importlib.util.find_spec(f"{module}.__main__") is not None


def test_the_image_copies_what_exists_and_installs_with_hashes() -> None:
    sources = [word for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for word in line.split()[:-1]]
    assert sources
    assert [source for source in sources if not (ROOT / source).exists()] == []
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert [source for source in sources if f"!{source}" not in ignored] == []
    assert "--require-hashes" in DOCKERFILE


def test_the_image_does_not_run_as_root() -> None:
    last_stage = DOCKERFILE.rpartition("\nFROM ")[2]
    assert re.search(r"^USER (?!root)\w+", last_stage, re.MULTILINE)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_ports_are_published_on_loopback_only(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_a_service_mounts_and_waits_for_exists(name: str) -> None:
    service = SERVICES[name]
    mounted = [volume.split(":")[0] for volume in service.get("volumes", [])]
    assert [it for it in mounted if not ((ROOT / it).exists() if it.startswith(".") else it in COMPOSE["volumes"])] == []
    assert set(service.get("depends_on", {})) <= set(SERVICES)
    assert set(service.get("secrets", [])) <= set(COMPOSE["secrets"])


def test_a_required_secret_is_made_by_the_script_that_makes_them() -> None:
    required = set(re.findall(r"\$\{([A-Z_]+):\?", (ROOT / "docker-compose.yml").read_text()))
    made = set(re.findall(r"\b[A-Z][A-Z_]+[A-Z]\b", (ROOT / "deploy" / "compose-env.sh").read_text()))
    assert required
    assert required <= made


def test_containers_and_processes_have_the_same_defaults() -> None:
    said = dict(re.findall(r"\$\{([A-Z0-9_]+):-([^}]*)\}", (ROOT / "docker-compose.yml").read_text()))
    both = sorted(set(said) & set(DEFAULTS))
    assert both
    assert {name: said[name] for name in both} == {name: DEFAULTS[name] for name in both}
