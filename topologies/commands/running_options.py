"""Options shared by the commands that read a configuration or run steps."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from topologies.kafka_address import check_kafka_address

if TYPE_CHECKING:
    from topologies.configuration import Configuration

config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="DRIFTWIRE_CONFIG",
    show_envvar=True,
    help="Configuration file. Without it, all settings have their defaults.",
)

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for messages and logs.  [default: broker.data]",
)


def _check_bootstrap(_: click.Context, __: click.Parameter, value: str | None) -> str | None:
    try:
        return None if value is None else check_kafka_address(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


bootstrap_option = click.option(
    "--bootstrap",
    metavar="HOST:PORT",
    envvar="DRIFTWIRE_BOOTSTRAP",
    show_envvar=True,
    callback=_check_bootstrap,
    help="Kafka address. Overrides the configuration.",
)


def configuration_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--config`` and ``--bootstrap``, and pass the configuration that they give as ``configuration``."""

    @functools.wraps(function)
    def command(*arguments: Any, config: Path | None, bootstrap: str | None, **options: Any) -> None:
        from topologies.configuration import load_configuration  # noqa: PLC0415  slow to import, not needed for --help

        configuration = load_configuration(config).with_bootstrap(bootstrap)
        function(*arguments, configuration=configuration, **options)

    return config_option(bootstrap_option(command))


def cluster_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add ``--config`` and ``--bootstrap``, and pass the Kafka cluster that they name as ``cluster``."""

    @functools.wraps(function)
    def command(*arguments: Any, configuration: "Configuration", **options: Any) -> None:
        function(*arguments, cluster=configuration.kafka.cluster, **options)

    return configuration_options(command)


replay_option = click.option(
    "--replay",
    is_flag=True,
    help="Use the time of the records as the only clock, to replay past records at any speed.",
)
