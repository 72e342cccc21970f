"""What each process of the stack is told: addresses, credentials and defaults, and for each service only what it needs."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.processes import free_ports, port_is_free, write_private
from deploy.local.secrets_file import SecretsFile
from shared.policy import load

SERVICES = ("orders", "payments", "shipping", "notifications")

# What anyone may point elsewhere. Given in the environment, a value wins over these and over what is generated.
DEFAULTS: Mapping[str, str] = {
    "LOG_LEVEL": "INFO",
    "STOREFRONT_SOURCES": "https://www.astrojewelry.com",
    "POLICY_VERSIONS": load().version,
    "SHIPPING_SERVICES": "ground=ups_ground,two_day=ups_2nd_day_air,overnight=ups_next_day_air,international=ups_worldwide_saver",
    "ACCEPT_CLEAR_PARTS_OVER_AMQP": "true",
    "PAYPAL_CLIENT_ID": "sandbox-client",
    "TWOCHECKOUT_MERCHANT_CODE": "SANDBOX",
    "CARRIER_ID": "se-123890",
    "SHIP_FROM_NAME": "Shipping Department",
    "SHIP_FROM_COMPANY": "AstroJewelry.com",
    "SHIP_FROM_PHONE": "+1 555-010-0199",
    "SHIP_FROM_LINE1": "4009 Marathon Blvd",
    "SHIP_FROM_CITY": "Austin",
    "SHIP_FROM_REGION": "TX",
    "SHIP_FROM_POSTAL_CODE": "78756",
    "SHIP_FROM_COUNTRY": "US",
    "MAIL_FROM": "orders@astrojewelry.com",
    "SHOP_NAME": "AstroJewelry.com",
    "FRIEND_OPT_OUT_URL": "https://www.astrojewelry.com/friends/no-more-mail",
}
_GENERATED = (
    "STOREFRONT_TOKEN",
    "STAFF_TOKEN",
    "CARRIER_WEBHOOK_SECRET",
    "PAYPAL_CLIENT_SECRET",
    "TWOCHECKOUT_SECRET_KEY",
    "CARRIER_API_KEY",
)
# Which of the above each service is told; broker, database and address come besides.
_TOLD: Mapping[str, tuple[str, ...]] = {
    "orders": (
        *("STOREFRONT_SOURCES", "STOREFRONT_TOKEN", "STAFF_TOKEN", "POLICY_VERSIONS", "SHIPPING_SERVICES"),
        "ACCEPT_CLEAR_PARTS_OVER_AMQP",
    ),
    "payments": (
        *("PAYPAL_BASE_URL", "PAYPAL_CLIENT_ID", "PAYPAL_CLIENT_SECRET", "TWOCHECKOUT_BASE_URL", "TWOCHECKOUT_IDN_URL"),
        *("TWOCHECKOUT_MERCHANT_CODE", "TWOCHECKOUT_SECRET_KEY"),
    ),
    "shipping": (
        *("CARRIER_BASE_URL", "CARRIER_API_KEY", "CARRIER_ID", "SHIPPING_SERVICES", "CARRIER_WEBHOOK_SECRET", "STAFF_TOKEN"),
        *("SHIP_FROM_NAME", "SHIP_FROM_COMPANY", "SHIP_FROM_PHONE", "SHIP_FROM_LINE1", "SHIP_FROM_CITY", "SHIP_FROM_REGION"),
        *("SHIP_FROM_POSTAL_CODE", "SHIP_FROM_COUNTRY"),
    ),
    "notifications": ("SMTP_URL", "MAIL_FROM", "SHOP_NAME", "FRIEND_OPT_OUT_URL"),
}
# By which authorities a party's certificate is checked, where it is not the machine's usual ones.
_AUTHORITIES: Mapping[str, tuple[str, ...]] = {
    "payments": ("PAYPAL_CA_FILE", "TWOCHECKOUT_CA_FILE"),
    "shipping": ("CARRIER_CA_FILE",),
    "notifications": ("SMTP_CA_FILE",),
}
# How an engine works; passed on where somebody sets it.
_TUNING = (
    *("BATCH_SIZE", "PREFETCH", "LINGER_SECONDS", "CALLS_IN_FLIGHT", "LEASE_SECONDS", "CALL_SECONDS", "SWEEP_SECONDS"),
    *(
        "PUBLISH_LEASE_SECONDS",
        "DOUBT_SECONDS",
        "STOP_TIMEOUT_SECONDS",
        "LATER_RUNGS_SECONDS",
        "STUCK_AFTER",
        "STUCK_COUNT_SECONDS",
        "INBOX_HORIZON_SECONDS",
        "JANITOR_SECONDS",
    ),
    *("ERASURE_WAITS_DAYS", "TELL_AGAIN_SECONDS", "EXPORT_DAYS", "MASTER_ROTATION_DAYS", "KEYRING_BACKUP_DAYS"),
    *("RETENTION_SECONDS", "INTAKE_KEY_GRACE_DAYS", "COMPLAINT_DAYS"),
    *("POLICY_FOLDER", "POLICY_CHOICE_URL", "MAIL_PREFERENCES_URL", "CAMPAIGN_BATCH", "CAMPAIGN_SECONDS"),
    *("ANNOUNCEMENTS_PER_30_DAYS", "NOTICE_DAYS"),
    *("STAFF_IDLE_MINUTES", "STAFF_SESSION_HOURS", "STAFF_CASE_MINUTES"),
    *("STAFF_ACKNOWLEDGE_DAYS", "STAFF_ACKNOWLEDGE_GRACE_DAYS", "STAFF_REVEALS_PER_HOUR"),
)
_VAULT = (
    *("KEYRING_MASTER", "KEYRING_VAULT_URL", "KEYRING_VAULT_MOUNT", "KEYRING_VAULT_KEY"),
    *("KEYRING_VAULT_TOKEN_FILE", "KEYRING_VAULT_CA_FILE"),
)


@dataclass(frozen=True, slots=True)
class Sandbox:
    """One outside party's stand-in: the settings that would make it needless, and what it is told."""

    party: str
    given: tuple[str, ...]
    told: tuple[str, ...]
    control: str
    authorities: str
    """The setting of the authorities by which it is checked."""


SANDBOXES = (
    Sandbox("paypal", ("PAYPAL_BASE_URL",), ("PAYPAL_CLIENT_ID", "PAYPAL_CLIENT_SECRET"), "PAYPAL_SANDBOX_URL", "PAYPAL_CA_FILE"),
    Sandbox(
        "twocheckout",
        ("TWOCHECKOUT_BASE_URL", "TWOCHECKOUT_IDN_URL"),
        ("TWOCHECKOUT_MERCHANT_CODE", "TWOCHECKOUT_SECRET_KEY"),
        "TWOCHECKOUT_SANDBOX_URL",
        "TWOCHECKOUT_CA_FILE",
    ),
    Sandbox("carrier", ("CARRIER_BASE_URL",), ("CARRIER_API_KEY", "CARRIER_ID"), "CARRIER_SANDBOX_URL", "CARRIER_CA_FILE"),
    Sandbox("mailbox", ("SMTP_URL",), (), "MAILBOX_SANDBOX_URL", "SMTP_CA_FILE"),
)


class Configuration:
    """Every value of one stack's folder. Secrets are made once per folder and kept there, readable by their owner only."""

    def __init__(self, folder: Path, environ: Mapping[str, str]) -> None:
        self._folder = folder
        self._environ = environ
        self._secrets = SecretsFile(folder / "secrets.json")
        self._found: dict[str, str] = {}

    def __getitem__(self, name: str) -> str:
        """Given, found at this start, default or generated, in this order. Raises KeyError for a name without any."""
        if given := self._environ.get(name):
            return given
        if name in self._found:
            return self._found[name]
        return self._secrets.token(name) if name in _GENERATED else DEFAULTS[name]

    def set(self, name: str, value: str) -> None:
        """What a start found out: an address of a sandbox, of a server."""
        self._found[name] = value

    def given(self, name: str) -> bool:
        return bool(self._environ.get(name))

    def password(self, name: str) -> str:
        """A password of this folder's own that nobody can give: of a broker user, of a database role."""
        return self._secrets.token(f"password of {name}")

    def addresses(self, taken: Mapping[str, str]) -> dict[str, str]:
        """Each service's HTTP address (`127.0.0.1:20123`): given as e.g. ORDERS_HTTP_ADDRESS, else the one in `taken` while it is
        free, else a free one."""
        ports = iter(free_ports(len(SERVICES)))
        found = {}
        for service in SERVICES:
            given = self._environ.get(f"{service.upper()}_HTTP_ADDRESS")
            before = taken.get(service, "")
            still_free = before and port_is_free(int(before.rpartition(":")[2]), before.rpartition(":")[0])
            found[service] = given or (before if still_free else f"127.0.0.1:{next(ports)}")
        return found

    def of_service(self, service: str, own: Mapping[str, str]) -> dict[str, str]:
        """The whole environment of a service: `own` (its broker, databases, address), what it is told, and nothing else."""
        environment = {name: self._environ[name] for name in ("PATH", "LANG", "TZ", *_TUNING) if name in self._environ}
        environment |= {"PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "LOG_LEVEL": self["LOG_LEVEL"], **own}
        if service == "orders":
            environment |= {
                "PERSONS_KEY_FILE": str(self.persons_key_file()),
                "ERASURE_JOURNAL": str(self.erasure_journal(service)),
            }
        authorities = (name for name in _AUTHORITIES.get(service, ()) if self.given(name) or name in self._found)
        return environment | {name: self[name] for name in (*_TOLD[service], *authorities)}

    def of_sandbox(self, sandbox: Sandbox) -> dict[str, str]:
        """The whole environment of a sandbox."""
        environment = {"PATH": self._environ.get("PATH", ""), "PYTHONUNBUFFERED": "1"}
        return environment | {name: self[name] for name in sandbox.told}

    def erasure_journal(self, service: str) -> Path:
        """The file that says whom this service has erased: beside the databases' folders and in none of their backups."""
        folder = (
            Path(self._environ["ERASURE_JOURNALS"]).resolve() if self.given("ERASURE_JOURNALS") else self._folder / "erasures"
        )
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        return folder / f"{service}.journal"

    def keyring_environment(self, service: str) -> dict[str, str]:
        """Where a service with a keyring finds its master key and its erasure journal."""
        if self._environ.get("KEYRING_MASTER") == "vault":
            master = {name: self._environ[name] for name in _VAULT if name in self._environ}
        else:
            master = {"KEYRING_MASTER_KEY_FILE": str(self.master_key_file(service))}
        return {**master, "ERASURE_JOURNAL": str(self.erasure_journal(service))}

    def master_key_file(self, service: str) -> Path:
        """The file with a service's master key, 32 random bytes in base64, made when missing. Each service has its own."""
        if self.given("KEYRING_MASTER_KEY_FILE"):
            return Path(self["KEYRING_MASTER_KEY_FILE"]).resolve()
        return self._key_file(f"{service}.master-key")

    def persons_key_file(self) -> Path:
        """The file with the secret by which orders remembers persons who are gone, made when missing."""
        if self.given("PERSONS_KEY_FILE"):
            return Path(self["PERSONS_KEY_FILE"]).resolve()
        return self._key_file("orders.persons-key")

    def _key_file(self, name: str) -> Path:
        path = self._folder / "keys" / name
        if not path.exists():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_private(path, base64.b64encode(secrets.token_bytes(32)).decode())
        return path
