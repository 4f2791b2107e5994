"""Options shared by the commands that read a configuration or run steps."""

from pathlib import Path

import click

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

bootstrap_override_option = click.option(
    "--bootstrap",
    metavar="HOST:PORT",
    envvar="DRIFTWIRE_BOOTSTRAP",
    show_envvar=True,
    help="Kafka address. Overrides the configuration.",
)

replay_option = click.option(
    "--replay",
    is_flag=True,
    help="Use the time of the records as the only clock, to replay past records at any speed.",
)
