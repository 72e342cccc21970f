"""docker-compose.yml and the Dockerfile, checked without an engine: what they name exists."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from deploy.local.configuration import DEFAULTS
from shared.lines import is_here, is_protected

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text()
CADDYFILE = (ROOT / "deploy" / "proxy" / "Caddyfile").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def given(text: str, **values: str) -> str:
    """The text as compose reads it where nothing but `values` is set."""
    return re.sub(r"\$\{([A-Z0-9_]+)(?::?[-?]([^}]*))?\}", lambda it: values.get(it[1], it[2] or ""), text)


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
    assert all(given(port).startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))


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


# Pages of the shop's, which a mail or an answer shows; nothing here speaks to them.
SHOWN_IN_MAILS = {"FRIEND_OPT_OUT_URL"}
ADDRESSES = [
    (name, setting, given(str(value), **dict.fromkeys(re.findall(r"\$\{([A-Z_]+_PASSWORD)\}", str(value)), "x")))
    for name, service in SERVICES.items()
    for setting, value in (service.get("environment") or {}).items()
    if setting.endswith(("_URL", "_URI"))
]


@pytest.mark.parametrize(("name", "setting", "address"), ADDRESSES)
def test_every_line_between_containers_is_encrypted_and_checked(name: str, setting: str, address: str) -> None:
    assert is_protected(address), "a plain line"
    assert not is_here(urlsplit(address).hostname)
    if address.startswith("amqps"):
        assert address.endswith("?cacertfile=/certificates/ca.pem")
    if address.startswith("postgresql"):
        assert address.endswith("?sslmode=verify-full&sslrootcert=/certificates/ca.pem")
    # Whom a party is checked by, where it is the sandbox.
    party = {"PAYPAL": "PAYPAL", "TWOCHECKOUT": "TWOCHECKOUT", "CARRIER": "CARRIER", "SMTP": "SMTP"}.get(
        setting.partition("_")[0]
    )
    if party:
        assert given(SERVICES[name]["environment"][f"{party}_CA_FILE"]) == "/certificates/ca.pem"
    assert any(str(volume).startswith("certificates:") for volume in SERVICES[name]["volumes"])


def test_every_server_that_is_spoken_to_has_a_certificate_of_its_name() -> None:
    made = dict(word.split("=") for word in SERVICES["certificates"]["command"][4:])
    spoken_to = {urlsplit(address).hostname for _, name, address in ADDRESSES if name not in SHOWN_IN_MAILS}
    assert spoken_to
    assert spoken_to <= set(made)
    assert [name for name, hosts in made.items() if name not in hosts.split(",")] == []
    sandboxes = [name for name, service in SERVICES.items() if "deploy.sandbox" in service.get("command", [])]
    for name in sandboxes:
        assert {f"/certificates/{name}/certificate.pem", f"/certificates/{name}/key.pem"} <= set(SERVICES[name]["command"])
    assert (ROOT / "deploy" / "rabbitmq" / "tls.conf").read_text().count("/certificates/broker/key.pem") == 2


@pytest.mark.parametrize("name", ["orders", "payments", "shipping", "notifications"])
def test_a_service_is_heard_only_by_the_proxy_beside_it(name: str) -> None:
    service = SERVICES[name]
    assert service["network_mode"] == "service:proxy"
    assert "ports" not in service
    host, _, port = service["environment"]["HTTP_ADDRESS"].rpartition(":")
    assert is_here(host)
    assert f"{{${name.upper()}_DOOR:{host}:{port}}}" in CADDYFILE


@pytest.mark.parametrize("name", ["broker", "data", "keyring"])
def test_what_a_server_does_at_its_start_is_shell(name: str) -> None:
    shell, option, script = SERVICES[name]["command"]
    assert (shell, option) == ("sh", "-c")
    done = subprocess.run(["sh", "-n", "-c", script.replace("$$", "$")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    mounted = [str(volume).split(":")[1] for volume in SERVICES[name]["volumes"]]
    named = list(re.findall(r"/etc/(?:brownpaper|postgresql)/\S+", script))
    assert named
    assert set(named) <= set(mounted)


def test_the_public_doors_of_the_proxy_are_these() -> None:
    public = CADDYFILE.split("{$PROXY_HOST:localhost} {")[1].split("\n}\n")[0]
    assert re.findall(r"^\t\tpath (.+)$", public, re.MULTILINE) == ["/events", "/keys /exports/*", "/webhooks/carrier/*"]
    assert public.count("reverse_proxy") == 3
    assert public.rstrip().endswith("handle {\n\t\trespond 404\n\t}")
    assert "http://" not in CADDYFILE.replace("http:// {", "")
    assert CADDYFILE.count("\timport own\n") == 5
    for word in ("protocols tls1.2 tls1.3", 'Strict-Transport-Security "max-age=', "max_size 1MiB", "admin unix//", "308"):
        assert word in CADDYFILE


def test_the_inner_doors_of_the_proxy_listen_on_loopback_unless_another_address_is_named() -> None:
    inner = re.findall(r"^https://\S+:(\d+) \{\n(.*?)^\}$", CADDYFILE, re.MULTILINE | re.DOTALL)
    assert [port for port, _ in inner] == ["8441", "8442", "8443", "8444"]
    assert all("\timport inner\n" in site for _, site in inner)
    assert "(inner) {\n\tbind {$PROXY_INNER_BIND:127.0.0.1}\n}" in CADDYFILE


def test_only_the_public_doors_can_be_opened_to_the_world() -> None:
    opened = [given(port, PROXY_BIND="0.0.0.0") for service in SERVICES.values() for port in service.get("ports", [])]
    assert sorted(port.rpartition(":")[2] for port in opened if not port.startswith("127.0.0.1:")) == ["443", "80"]
