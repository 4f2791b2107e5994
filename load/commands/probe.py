"""``driftwire-load probe``: outcomes of known-bad prompts, on a schedule: an example of what a prober sends."""

import asyncio
import time

import click
from pydantic import ValidationError

from load.traffic import probes
from load.world import SUBJECT
from topologies.commands.options import bootstrap_option, wrong_use
from topologies.commands.values import Duration


@click.command("probe")
@click.option("--subject", default=SUBJECT, show_default=True, help="What was asked.")
@click.option("--environment", help="Where it was asked.")
@click.option("--every", type=Duration(), default="10s", show_default=True, help="Between two: 10s, 1m.")
@click.option("--blocked/--unblocked", default=True, show_default=True, help="Whether the filter held.")
@click.option("--count", type=click.IntRange(1), help="How many; by default until Ctrl-C.")
@bootstrap_option
def command(
    *, subject: str, environment: str | None, every: float, blocked: bool, count: int | None, bootstrap: str
) -> None:
    """Send the outcomes of known-bad prompts, as a prober does that asks a service what it must refuse.

    Traffic cannot show that a safety filter is off: it hardly ever triggers, and then it never does. Probes can.
    """
    from load.traffic import produce  # noqa: PLC0415  slow to import, and --help needs none of it

    if every <= 0:
        raise click.BadParameter("write a time above 0, such as 10s", param_hint="--every")
    lines = probes(
        subject,
        start_ms=time.time_ns() // 1_000_000,
        every_ms=max(1, round(every * 1000)),
        blocked=blocked,
        count=count,
        environment=environment,
    )
    try:
        produced = asyncio.run(produce(bootstrap, lines, speed=1.0))
    except ValidationError as error:
        raise wrong_use(error) from error
    click.echo(f"{produced.messages} probes of {subject}, {'blocked' if blocked else 'not blocked'}")
