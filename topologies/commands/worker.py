"""``driftwire worker STEP``: one step against an existing Kafka, as in production."""

import asyncio
import importlib
from pathlib import Path
from typing import TYPE_CHECKING

import click

from topologies.commands.running_options import bootstrap_option, config_option, replay_option
from topologies.terminal import echo

if TYPE_CHECKING:
    from topologies.configuration import Configuration

STEPS = ("intake", "http", "detect", "correlate", "route")

BROKER_WAIT_S = 60.0
"""Maximum seconds that a worker waits for Kafka to answer."""

RETRY_S = 1.0


@click.command("worker", short_help="Run one step against an existing Kafka.")
@click.argument("step", type=click.Choice(STEPS))
@config_option
@bootstrap_option
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    help="Port of the metrics and health of this worker. Overrides the port of metrics.listen. 0 selects a free port.",
)
@replay_option
def command(step: str, config: Path | None, bootstrap: str | None, metrics_port: int | None, *, replay: bool) -> None:
    """Run one step against an existing Kafka.

    The worker creates missing topics and prints "STEP: ready" when it has its partitions. Ctrl-C or SIGTERM stops it
    after a final checkpoint. Run at most one detect worker per partition of driftwire.records. A second correlate or
    route worker is a standby. An intake worker reads the topics of [intake.topics] in the configuration. It never
    creates them, and waits for a missing one. An http worker receives records, telemetry, deployments and webhooks at
    the address http.listen, and prints "http: ready on ADDRESS".

    With a section [metrics] in the configuration, or with --metrics-port, the other workers serve /metrics, /healthz
    and /readyz, and print "STEP: metrics at ADDRESS".
    """
    from topologies.configuration import load_configuration  # noqa: PLC0415  slow to import and not needed for --help

    configuration = load_configuration(config).with_bootstrap(bootstrap).with_metrics_port(metrics_port)
    if step == "intake" and not configuration.intake.topics:
        raise click.UsageError(
            'the configuration contains no topic for intake: add a table such as [intake.topics."llm.requests"]'
        )
    asyncio.run(_create_topics(configuration, step, replay=replay))
    if step == "http":
        _run_http(configuration, replay=replay)
    else:
        from topologies.runtime import StepApplication, run_worker  # noqa: PLC0415  as above

        app: StepApplication = importlib.import_module(f"topologies.{step}").build(configuration, replay=replay)
        server = app.metrics_server

        async def start() -> None:
            if server is not None:
                echo(f"{step}: metrics at {await server.start()}/metrics")

        run_worker(app, start)


def _run_http(configuration: "Configuration", *, replay: bool) -> None:
    from topologies.http_server import run_http_server  # noqa: PLC0415  slow to import and not needed for --help
    from topologies.logs import configure_logging  # noqa: PLC0415

    configure_logging()
    asyncio.run(run_http_server(configuration, replay=replay))


async def _create_topics(configuration: "Configuration", step: str, *, replay: bool) -> None:
    from topologies.broker import create_topics  # noqa: PLC0415
    from topologies.errors import BrokerError, BrokerUnreachable, InputTopicMissing, RightMissing  # noqa: PLC0415

    kafka = configuration.kafka
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
                optional_topics=configuration.optional_topics(step, replay=replay),
                input_topics=configuration.input_topics(step),
                app_id=kafka.app_id,
            )
        except InputTopicMissing as error:
            # The other service may create its topic later, so the worker waits without a time limit.
            if str(error) != reported:
                reported = str(error)
                echo(f"{step}: {error}; waiting for it", err=True)
                echo(f"{step}: standby")
            await asyncio.sleep(RETRY_S)
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
