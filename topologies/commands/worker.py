"""``driftwire worker STEP``: one step against an existing Kafka, as in production."""

import asyncio
import importlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

import click

from topologies.commands.running_options import bootstrap_option, config_option, replay_option
from topologies.terminal import echo

if TYPE_CHECKING:
    from topologies.configuration import KafkaSettings

STEPS = ("detect", "correlate", "route")

BROKER_WAIT_S = 60.0
"""Maximum seconds that a worker waits for Kafka to answer."""

RETRY_S = 1.0


@click.command("worker", short_help="Run one step against an existing Kafka.")
@click.argument("step", type=click.Choice(STEPS))
@config_option
@bootstrap_option
@replay_option
def command(step: str, config: Path | None, bootstrap: str | None, *, replay: bool) -> None:
    """Run one step against an existing Kafka.

    The worker creates missing topics and prints "STEP: ready" when it has its partitions. Ctrl-C or SIGTERM stops it
    after a final checkpoint. Run at most one detect worker per partition of driftwire.records. A second correlate or
    route worker is a standby.
    """
    from topologies.configuration import load_configuration  # noqa: PLC0415  slow to import and not needed for --help
    from topologies.runtime import run_worker  # noqa: PLC0415

    configuration = load_configuration(config).with_bootstrap(bootstrap)
    kafka = configuration.kafka
    asyncio.run(_create_topics(kafka, step, configuration.optional_topics(step, replay=replay)))
    run_worker(importlib.import_module(f"topologies.{step}").build(configuration, replay=replay))


async def _create_topics(kafka: "KafkaSettings", step: str, optional_topics: Collection[str]) -> None:
    from topologies.broker import create_topics  # noqa: PLC0415
    from topologies.errors import BrokerError, BrokerUnreachable, RightMissing  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    deadline = loop.time() + BROKER_WAIT_S
    reported = ""
    while True:
        try:
            await create_topics(
                kafka.cluster,
                kafka.records_partitions,
                kafka.replication_factor,
                step=step,
                optional_topics=optional_topics,
                app_id=kafka.app_id,
            )
        except (BrokerError, BrokerUnreachable, RightMissing) as error:
            if loop.time() > deadline:
                raise
            if str(error) != reported:
                reported = str(error)
                echo(
                    f"{step}: {error}; trying again for {BROKER_WAIT_S:.0f} s, then the worker ends with status 1",
                    err=True,
                )
            await asyncio.sleep(RETRY_S)
        else:
            return
