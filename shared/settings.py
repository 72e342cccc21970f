"""Settings: typed, read once from the environment, and complained about all at once, by name."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_core import ErrorDetails, PydanticCustomError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.contracts.errors import BrownPaperError
from shared.delivery.ladder import DEFAULT_RUNGS_SECONDS, Ladder
from shared.policy import load
from shared.setting_kinds import (
    WANTED,
    AmqpUri,
    AuthoritiesFile,
    Counts,
    ListeningAddress,
    LogLevel,
    PartyUrl,
    PostgresUrl,
    ReadableFile,
    ReadableFolder,
    Text,
    named_among,
)


class SettingsInvalid(BrownPaperError):
    """Settings are missing or wrong; the message names each, and no value."""


class Settings(BaseSettings):
    """Settings come from environment variables of the fields' names in upper case."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True, extra="ignore")

    @classmethod
    def read(cls) -> Self:
        """Raises `SettingsInvalid` naming every variable at fault."""
        try:
            return cls()
        except ValidationError as error:
            faults = error.errors(include_url=False, include_input=False, include_context=False)
            lines = [f"  {str(fault['loc'][0]).upper() if fault['loc'] else 'settings'}: {_saying(fault)}" for fault in faults]
            raise SettingsInvalid("settings to mend:\n" + "\n".join(sorted(lines))) from None


def _saying(fault: ErrorDetails) -> str:
    if fault["type"] == "missing":
        return "is missing"
    # Messages of our own kinds hold no value; pydantic's may.
    return fault["msg"] if fault["type"] == WANTED else f"is not right ({fault['type']})"


class DeliverySettings(Settings):
    """What every service needs: where broker and database are, where it listens, and how its engine works."""

    amqp_uri: AmqpUri
    database_url: PostgresUrl
    http_address: ListeningAddress = "127.0.0.1:8000"
    log_level: LogLevel = "INFO"
    batch_size: int = Field(default=200, ge=1, le=1000)
    prefetch: int = Field(default=600, ge=1)
    """Three batches: one that is committed, one that waits behind it, one on its way. A lone message fills neither and waits for none."""
    linger_seconds: float = Field(default=0.003, ge=0)
    """How long a busy process waits for a fuller batch; a lone message never waits."""
    calls_in_flight: int = Field(default=16, ge=1)
    """How many calls may be under way to one outside party."""
    publish_lease_seconds: float = Field(default=10, gt=0)
    """How long a process may take to publish an event before the sweep does it again; twice is harmless."""
    lease_seconds: float = Field(default=30, gt=0)
    """How long a process may take to make a call before another one takes over, looking first whether it was made."""
    call_seconds: float = Field(default=20, gt=0)
    """The longest that one call to an outside party may last, all its tries together; a second shorter than the lease."""
    doubt_seconds: float = Field(default=3, ge=0)
    """How long after a lost answer the call may still be at work at the other side, before it is looked up."""
    sweep_seconds: float = Field(default=1, gt=0)
    stop_timeout_seconds: float = Field(default=20, gt=0)
    later_rungs_seconds: Annotated[tuple[float, ...], NoDecode] = DEFAULT_RUNGS_SECONDS
    inbox_horizon_seconds: float = 30 * 24 * 3600.0
    """How old an event may be when it is first taken up. Claims are kept so long and two days more; longer than any outage must be."""
    janitor_seconds: float = Field(default=15, gt=0)
    """How often what stands in the plumbing's tables is counted, and what is behind the horizon cleared."""

    @field_validator("later_rungs_seconds", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(float(rung) for rung in value.split(",")) if isinstance(value, str) else value

    @field_validator("call_seconds")
    @classmethod
    def _ends_within_the_lease(cls, value: float, info: ValidationInfo) -> float:
        lease_seconds = info.data.get("lease_seconds")  # not there where it is itself at fault
        if lease_seconds is not None and value > lease_seconds - 1:
            raise PydanticCustomError(WANTED, "wanted: seconds, at least one less than LEASE_SECONDS")
        return value

    @field_validator("inbox_horizon_seconds")
    @classmethod
    def _outlasts_the_ladder(cls, value: float, info: ValidationInfo) -> float:
        rungs_seconds = info.data.get("later_rungs_seconds")  # not there where it is itself at fault
        if rungs_seconds is not None and value <= Ladder(rungs_seconds).longest.total_seconds():
            raise PydanticCustomError(WANTED, "wanted: seconds, more than all of LATER_RUNGS_SECONDS together and a fifth")
        return value


_REVEALS = {"warehouse": 2000, "billing_clerk": 30, "customer_service": 60, "privacy_officer": 10}
_OF_VAULT = ("keyring_vault_url", "keyring_vault_key", "keyring_vault_token_file")


class PolicySettings(Settings):
    """Which versions of the policy are known beside the release's own."""

    policy_folder: ReadableFolder | None = None
    """A folder of policy versions that are coming or were left: `<version>.yaml` each."""


class ErasureSettings(Settings):
    """Where a service remembers who was erased."""

    erasure_journal: Text | None = None
    """The file, outside of every backup, that says who was erased: applied when the service starts."""


class KeyringSettings(PolicySettings, ErasureSettings):
    """Where a service that opens parts keeps its keys."""

    keyring_database_url: PostgresUrl
    master_rotation_days: float = Field(default=7, ge=0)
    """After how many days no master key is left under which a part key was ever wrapped that is destroyed today."""
    keyring_backup_days: float = Field(default=7, ge=0)
    """For how many days a backup of the keyring is kept."""
    keyring_master: Literal["file", "vault"] = "file"
    """Where the master keys are: in a file, or in the transit engine of a Vault."""
    keyring_master_key_file: ReadableFile | None = None
    keyring_vault_url: PartyUrl | None = None
    keyring_vault_mount: Text = "transit"
    keyring_vault_key: Text | None = None
    keyring_vault_token_file: ReadableFile | None = None
    keyring_vault_ca_file: AuthoritiesFile = None
    intake_key_grace_days: float = Field(default=5, ge=0)
    """How long after its expiry an intake key is destroyed: what was sealed at the last moment may still lie in a queue."""

    retention_seconds: float = Field(default=600, gt=0)
    """How often a service looks for what has its time: keys that are too old, parts that must go."""

    @model_validator(mode="after")
    def _master_is_whole(self) -> Self:
        wanted = ("keyring_master_key_file",) if self.keyring_master == "file" else _OF_VAULT
        missing = ", ".join(name.upper() for name in wanted if getattr(self, name) is None)
        if missing:
            raise PydanticCustomError(WANTED, f"KEYRING_MASTER={self.keyring_master} wants {missing}")
        return self


class StaffSettings(Settings):
    """How staff work at a service's door."""

    staff_idle_minutes: float = Field(default=15, gt=0)
    """After how long without an action of the member a session locks itself."""
    staff_session_hours: float = Field(default=12, gt=0)
    """After how long a session is over, whatever happens."""
    staff_case_minutes: float = Field(default=60, gt=0)
    """How long a case lets its member read the order's part."""
    staff_acknowledge_days: float = Field(default=180, gt=0)
    """After how long a member has to acknowledge the same policy again."""
    staff_acknowledge_grace_days: float = Field(default=14, ge=0)
    """For how long after that the member still sees what the role may."""
    staff_reveals_per_hour: Annotated[Counts, named_among(load().roles)] = _REVEALS
    """How many parts a member of each role may have opened in an hour; a role that is not named has none."""
