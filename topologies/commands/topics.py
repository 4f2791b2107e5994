"""``driftwire topics``: change the topics of a running driftwire."""

import asyncio

import click

from topologies.commands.running_options import cluster_options
from topologies.kafka import Cluster
from topologies.terminal import echo

PARTITIONS_MAX = 10_000


@click.group("topics", short_help="Add partitions to the records topic.")
def command() -> None:
    """Change the topics of driftwire on a Kafka cluster."""


@command.command("grow")
@click.argument("partitions", type=click.IntRange(1, PARTITIONS_MAX))
@cluster_options
def grow_command(partitions: int, cluster: Cluster) -> None:
    """Add partitions to driftwire.records, up to PARTITIONS in total.

    The topic driftwire.detect-checkpoints gets the same number. Running workers use the new partitions within a minute.
    Baselines are kept. All tests start with new evidence, because records of a subject can move to another partition.
    Set kafka.records_partitions to the new number before the next start of a worker.
    """
    from topologies.broker import grow_topics  # noqa: PLC0415  slow to import and not needed for --help

    grown = asyncio.run(grow_topics(cluster, partitions))
    for name, (before, now) in grown.items():
        echo(f"{name}: {now} partitions instead of {before}")
    if grown:
        echo("baselines are kept, and all tests start with new evidence")
        echo(f"set kafka.records_partitions = {partitions} before the next start of a worker")
    else:
        echo(f"driftwire.records already has {partitions} partitions")
