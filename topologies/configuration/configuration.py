"""Configuration of the broker and the steps: one strict TOML file. Every key has a default.

All problems of a file are reported together, one line per problem, with the full path of the key.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from pipeline.correlate.settings import CorrelateSettings
from pipeline.detect.settings import DetectSettings
from pipeline.intake import IntakeSettings
from pipeline.route import RouteSettings
from schemas.topics import COMMANDS, DEPLOYMENTS
from topologies.configuration.problems import format_problem
from topologies.configuration.signal_rule_check import find_rule_problems
from topologies.configuration.sla_check import unknown_signals
from topologies.errors import DriftwireError
from topologies.http_settings import HttpSettings
from topologies.kafka import Cluster
from topologies.kafka_address import check_kafka_address
from topologies.kafka_security import SecuritySettings
from topologies.metrics_settings import MetricsSettings
from topologies.private_files import write_private_file
from topologies.terminal import echo

WEBHOOKS_WITH_COMMANDS = frozenset({"pagerduty"})
"""Kinds of webhooks that become commands."""

APP_ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,100}")


class ConfigurationError(DriftwireError):
    """Invalid configuration. ``problems`` contains one line per problem."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class KafkaSettings(BaseModel):
    """Kafka address, and how the steps use the cluster."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    bootstrap: str = Field(
        default="127.0.0.1:9092", description="Addresses of Kafka brokers: HOST:PORT, separated by commas."
    )
    records_partitions: int = Field(
        default=4,
        ge=1,
        le=1000,
        description="Partitions of driftwire.records. At most this many detect workers share the load. driftwire topics "
        "grow adds partitions to an existing topic.",
    )
    replication_factor: int = Field(
        default=1, ge=1, le=9, description="Copies of each partition. Use 3 on a cluster and 1 on the embedded broker."
    )
    checkpoint_interval_s: float = Field(
        default=2.0,
        gt=0,
        le=60,
        description="Seconds between checkpoints. Higher values mean fewer transactions but more rereading after a "
        "crash.",
    )
    session_timeout_s: float = Field(
        default=6.0,
        ge=1,
        le=300,
        description="Seconds without contact after which the partitions of a worker move to another worker.",
    )
    app_id: str = Field(
        default="driftwire",
        description="Prefix of consumer groups and transactions. Use one prefix per cluster and set of topics.",
    )

    security: SecuritySettings = Field(
        default_factory=SecuritySettings,
        description="Encryption and authentication of all connections to Kafka.",
    )

    @property
    def cluster(self) -> Cluster:
        """The Kafka cluster of these settings."""
        return Cluster(self.bootstrap, self.security)

    @field_validator("bootstrap")
    @classmethod
    def _is_an_address(cls, bootstrap: str) -> str:
        return check_kafka_address(bootstrap)

    @field_validator("app_id")
    @classmethod
    def _is_a_name(cls, app_id: str) -> str:
        if not APP_ID_PATTERN.fullmatch(app_id):
            raise ValueError(f"must be 1 to 100 letters, digits, dots, underscores or hyphens, not {app_id!r}")
        return app_id


class BrokerSettings(BaseModel):
    """Settings of the embedded broker."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    port: int = Field(default=9092, ge=0, le=65535, description="Port for clients on 127.0.0.1. 0 selects a free port.")
    data: str = Field(default="data", min_length=1, description="Folder for messages and logs.")
    heap_mib: int = Field(
        default=512,
        ge=256,
        le=65536,
        description="Java heap in MiB. Higher values allow more partitions and larger messages.",
    )


class Configuration(BaseModel):
    """All settings.

    >>> Configuration().kafka.bootstrap
    '127.0.0.1:9092'
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kafka: KafkaSettings = Field(default_factory=KafkaSettings)
    broker: BrokerSettings = Field(default_factory=BrokerSettings)
    intake: IntakeSettings = Field(default_factory=IntakeSettings)
    http: HttpSettings | None = None
    metrics: MetricsSettings | None = None
    detect: DetectSettings = Field(default_factory=DetectSettings)
    correlate: CorrelateSettings = Field(default_factory=CorrelateSettings)
    route: RouteSettings = Field(default_factory=RouteSettings)

    @property
    def optional_steps(self) -> tuple[str, ...]:
        """The steps that run only if they are configured, and are configured."""
        return (*(["intake"] if self.intake.topics else []), *([] if self.http is None else ["http"]))

    def optional_topics(self, step: str, *, replay: bool) -> tuple[str, ...]:
        """Return the topics that a step uses only with certain settings, and uses with these."""
        if step == "http":
            kinds = {webhook.kind for webhook in self.http.webhooks.values()} if self.http is not None else set()
            return (COMMANDS,) if WEBHOOKS_WITH_COMMANDS & kinds else ()
        return (DEPLOYMENTS,) if step == "route" and self.route.deployment_receivers and not replay else ()

    def input_topics(self, step: str) -> tuple[str, ...]:
        """Return the topics of other services that a step reads."""
        return tuple(self.intake.topics) if step == "intake" else ()

    def with_bootstrap(self, bootstrap: str | None) -> "Configuration":
        """Return a copy with another Kafka address, or this configuration if the address is None."""
        return self if bootstrap is None else self.with_cluster(Cluster(bootstrap, self.kafka.security))

    def with_metrics_port(self, port: int | None) -> "Configuration":
        """Return a copy that serves metrics at another port, or this configuration if the port is None."""
        if port is None:
            return self
        metrics = self.metrics or MetricsSettings()
        listen = f"{metrics.listen.rpartition(':')[0]}:{port}"
        return self.model_copy(update={"metrics": metrics.model_copy(update={"listen": listen})})

    def with_cluster(self, cluster: Cluster) -> "Configuration":
        """Return a copy with the address and security settings of another Kafka cluster."""
        changes = {"bootstrap": cluster.bootstrap, "security": cluster.security}
        return self.model_copy(update={"kafka": self.kafka.model_copy(update=changes)})


def load_configuration(path: Path | None) -> Configuration:
    """Read and check a configuration file.

    Parameters
    ----------
    path
        A TOML file, or a JSON file if its name ends in ``.json``. None selects all defaults.

    Raises
    ------
    ConfigurationError
        If the file is invalid. The error has one line per problem.
    """
    if path is None:
        return Configuration()
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(
            [f"{path}: cannot be read ({error.strerror}); check the path and its permissions"]
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigurationError([f"{path}: is not UTF-8 (byte {error.start}); save it as UTF-8"]) from error
    try:
        values: dict[str, Any] = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        form = "JSON" if path.suffix == ".json" else "TOML"
        raise ConfigurationError([f"{path}: is not valid {form}: {_lower_first(str(error))}"]) from error
    try:
        # Validate as JSON: pydantic's strict mode accepts a list for a tuple only in JSON.
        configuration = Configuration.model_validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        details = error.errors(include_url=False)
        raise ConfigurationError([f"{path}: {format_problem(Configuration, detail)}" for detail in details]) from error
    security = configuration.kafka.security
    listeners = [settings for settings in (configuration.http, configuration.metrics) if settings is not None]
    problems = [*find_rule_problems(configuration.detect.signals), *unknown_signals(configuration.correlate.sla)]
    problems += security.problems()
    if problems := [*problems, *(line for listener in listeners for line in listener.problems())]:
        raise ConfigurationError([f"{path}: {line}" for line in problems])
    for line in [*security.warnings(path), *(line for listener in listeners for line in listener.warnings())]:
        echo(f"{path}: {line}", err=True)
    return configuration


def write_configuration(configuration: Configuration, path: Path) -> None:
    """Write a configuration and its secrets as JSON for :func:`load_configuration`. Only the owner can read the file.

    The file has only the settings that differ from their defaults.
    """
    changed = configuration.model_dump(by_alias=True, exclude_defaults=True)
    write_private_file(path, json.dumps(changed, default=_plain, indent=1))


def _plain(value: Any) -> Any:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    raise TypeError(f"a setting of type {type(value).__name__} cannot be written as JSON")


def _lower_first(text: str) -> str:
    return text[:1].lower() + text[1:]
