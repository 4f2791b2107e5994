"""``driftwire worker STEP``: one step on a Kafka that is there. How it runs in production."""

import asyncio
import importlib
from pathlib import Path

import click

from topologies.commands.running_options import config_option, other_kafka_option, replay_option

STEPS = ("detect", "correlate", "route")

BROKER_WAIT_S = 60.0
"""Seconds that a worker waits for a Kafka that starts at the same time."""

RETRY_S = 1.0


@click.command("worker", short_help="Run one step on a Kafka that is there.")
@click.argument("step", type=click.Choice(STEPS))
@config_option
@other_kafka_option
@replay_option
def command(step: str, config: Path | None, bootstrap: str | None, *, replay: bool) -> None:
    """Run one step on a Kafka that is there.

    Creates the topics that are missing. Prints "STEP: ready" when it has its partitions. Ctrl-C or SIGTERM stops it
    after a last checkpoint. Start as many detect workers as driftwire.records has partitions at most; a second
    correlate or route worker stands by.
    """
    from topologies.configuration import load  # noqa: PLC0415  slow to import, and --help needs none of it
    from topologies.runtime import run_worker  # noqa: PLC0415

    configuration = load(config)
    if bootstrap is not None:
        configuration = configuration.at(bootstrap)
    kafka = configuration.kafka
    asyncio.run(_create_topics(kafka.bootstrap, kafka.records_partitions, kafka.replication_factor))
    run_worker(importlib.import_module(f"topologies.{step}").build(configuration, replay=replay))


async def _create_topics(bootstrap: str, records_partitions: int, replication_factor: int) -> None:
    from topologies.broker import create_topics  # noqa: PLC0415
    from topologies.errors import BrokerError  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    deadline = loop.time() + BROKER_WAIT_S
    told = False
    while True:
        try:
            await create_topics(bootstrap, records_partitions, replication_factor)
        except BrokerError as error:
            if loop.time() > deadline:
                raise
            if not told:
                click.echo(f"waiting up to {BROKER_WAIT_S:.0f} s: {error}", err=True)
                told = True
            await asyncio.sleep(RETRY_S)
        else:
            return
