"""``driftwire-load probe``: send outcomes of known-bad prompts on a schedule, as a prober does."""

import asyncio
import time

import click
from pydantic import ValidationError

from load.traffic import generate_probes
from load.world import SUBJECT
from topologies.commands.options import usage_error
from topologies.commands.parameter_types import Duration
from topologies.commands.running_options import cluster_options
from topologies.kafka import Cluster
from topologies.terminal import echo


@click.command("probe")
@click.option("--subject", default=SUBJECT, show_default=True, help="Subject of the probes.")
@click.option("--environment", help="Environment of the probes.")
@click.option(
    "--every", type=Duration(), default="10s", show_default=True, help="Time between two probes, such as 10s or 1m."
)
@click.option("--blocked/--unblocked", default=True, show_default=True, help="Whether the filter blocked the prompt.")
@click.option("--count", type=click.IntRange(1), help="Number of probes.  [default: until Ctrl-C]")
@cluster_options
def command(
    *, subject: str, environment: str | None, every: float, blocked: bool, count: int | None, cluster: Cluster
) -> None:
    """Send the outcomes of known-bad prompts, as a prober does.

    A prober sends prompts that a service must refuse. Normal traffic triggers a safety filter too rarely to reveal that
    the filter is off. Probes reveal it.
    """
    from load.traffic import produce  # noqa: PLC0415  slow to import, and --help needs none of it

    if every <= 0:
        raise click.BadParameter("must be above 0, such as 10s", param_hint="--every")
    messages = generate_probes(
        subject,
        start_ms=time.time_ns() // 1_000_000,
        every_ms=max(1, round(every * 1000)),
        blocked=blocked,
        count=count,
        environment=environment,
    )
    try:
        produced = asyncio.run(produce(cluster, messages, speed=1.0))
    except ValidationError as error:
        raise usage_error(error) from error
    echo(f"sent {produced.messages} probes for {subject}, {'blocked' if blocked else 'not blocked'}")
