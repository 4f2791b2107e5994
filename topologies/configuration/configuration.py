"""The configuration: one strict TOML file for broker and steps, every key with a default.

Every problem of a file is found at once, and each is one line that names the key by its full path.
"""

import json
import os
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from pipeline.correlate.settings import CorrelateSettings
from pipeline.detect.settings import DetectSettings
from pipeline.route import RouteSettings
from topologies.configuration.problems import problem
from topologies.configuration.sla_check import unknown_signals
from topologies.errors import Failure

BOOTSTRAP_PATTERN = re.compile(r"[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*", re.ASCII)
APP_ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,100}")

OWNER_ONLY = 0o600
"""The mode of a written configuration: a webhook's address may be a secret."""


class ConfigurationError(Failure):
    """A configuration that cannot be used; ``problems`` has one line for each thing wrong with it."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class KafkaSettings(BaseModel):
    """Where Kafka is, and how the steps use it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap: str = Field(default="127.0.0.1:9092", description="HOST:PORT, or several with commas between")
    records_partitions: int = Field(
        default=4, ge=1, le=1000,
        description="partitions of driftwire.records: at most this many detect workers share the load; fixed once made",
    )  # fmt: skip
    replication_factor: int = Field(
        default=1, ge=1, le=9, description="copies of each partition; 3 on a cluster, 1 on the embedded broker"
    )
    checkpoint_interval_s: float = Field(
        default=2.0, gt=0, le=60,
        description="seconds between checkpoints; bigger: fewer transactions, more to read again after a crash",
    )  # fmt: skip
    session_timeout_s: float = Field(
        default=6.0, ge=1, le=300, description="seconds of silence after which a worker's partitions go to another one"
    )
    app_id: str = Field(
        default="driftwire",
        description="prefix of consumer groups and transactions; one a cluster and set of topics",
    )  # fmt: skip

    @field_validator("bootstrap")
    @classmethod
    def _is_an_address(cls, bootstrap: str) -> str:
        if not BOOTSTRAP_PATTERN.fullmatch(bootstrap):
            raise ValueError(f"must be HOST:PORT, or several with commas between, not {bootstrap!r}")
        return bootstrap

    @field_validator("app_id")
    @classmethod
    def _is_a_name(cls, app_id: str) -> str:
        if not APP_ID_PATTERN.fullmatch(app_id):
            raise ValueError(f"must be 1 to 100 letters, digits, dots, underscores or hyphens, not {app_id!r}")
        return app_id


class BrokerSettings(BaseModel):
    """The embedded broker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(default=9092, ge=0, le=65535, description="where clients connect, on 127.0.0.1; 0: a free one")
    data: str = Field(default="data", min_length=1, description="the folder for messages and logs")
    heap_mib: int = Field(
        default=512,
        ge=256,
        le=65536,
        description="MiB of Java's memory; more takes more partitions and bigger messages",
    )


class Configuration(BaseModel):
    """All settings.

    >>> Configuration().kafka.bootstrap
    '127.0.0.1:9092'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    detect: DetectSettings = Field(default_factory=DetectSettings)
    correlate: CorrelateSettings = Field(default_factory=CorrelateSettings)
    route: RouteSettings = Field(default_factory=RouteSettings)

    def at(self, bootstrap: str) -> "Configuration":
        """The same for a Kafka at another address."""
        return self.model_copy(update={"kafka": self.kafka.model_copy(update={"bootstrap": bootstrap})})


def load(path: Path | None) -> Configuration:
    """Read a configuration.

    Parameters
    ----------
    path
        A TOML file, or JSON if its name ends in ``.json``; None means all defaults.

    Raises
    ------
    ConfigurationError
        With one line for every problem of the file.
    """
    if path is None:
        return Configuration()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError([f"{path}: cannot be read ({error.strerror})"]) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path}: is not UTF-8 (byte {error.start})"]) from error
    try:
        values: dict[str, Any] = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise ConfigurationError([f"{path}: {_lower_first(str(error))}"]) from error
    try:
        # Through JSON, because pydantic is strict there without refusing a list where a tuple is meant.
        configuration = Configuration.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigurationError([f"{path}: {problem(Configuration, detail)}" for detail in details]) from error
    if unknown := unknown_signals(configuration.correlate.sla):
        raise ConfigurationError([f"{path}: {line}" for line in unknown])
    return configuration


def write(configuration: Configuration, path: Path) -> None:
    """Write a configuration as JSON that :func:`load` reads, secrets and all, for its owner's eyes only."""
    text = json.dumps(configuration.model_dump(by_alias=True), default=_plain, indent=1)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, OWNER_ONLY), "w", encoding="utf-8") as file:  # noqa: PTH123  only os.open sets the mode from the first moment
        file.write(text)


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    raise TypeError(f"a setting of type {type(value).__name__} has no form in JSON")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
