"""Options that the commands which run something share."""

from pathlib import Path

import click

config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="DRIFTWIRE_CONFIG",
    show_envvar=True,
    help="A configuration file; without one every setting has its default.",
)

data_option = click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    help="The folder for messages and logs; by default the configuration's broker.data.",
)

other_kafka_option = click.option(
    "--bootstrap",
    metavar="HOST:PORT",
    envvar="DRIFTWIRE_BOOTSTRAP",
    show_envvar=True,
    help="The Kafka to use, whatever the configuration says.",
)

replay_option = click.option(
    "--replay", is_flag=True, help="Take the time from the records alone, for past ones played at any speed."
)
