"""``driftwire up``: Kafka and all steps on this machine."""

from pathlib import Path

import click

from topologies.commands.running_options import bootstrap_option, config_option, data_option, replay_option
from topologies.terminal import echo


@click.command("up", short_help="Run Kafka and all steps on this machine until Ctrl-C.")
@config_option
@bootstrap_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port of the embedded Kafka. 0 selects a free port.  [default: broker.port (9092)]",
)
@data_option
@click.option(
    "--http", "with_http", is_flag=True, help="Receive records over HTTP too, even if the configuration has no [http]."
)
@replay_option
def command(
    *, config: Path | None, bootstrap: str | None, port: int | None, data: Path | None, with_http: bool, replay: bool
) -> None:
    """Run Kafka and all steps on this machine until Ctrl-C.

    The command starts the embedded Kafka (unless --bootstrap is given), creates the topics, and runs detect, correlate
    and route in separate processes, and intake if [intake.topics] names a topic. It opens a port for HTTP only with
    --http or if the configuration has a section [http]. A step that dies is restarted up to five times in five minutes.
    """
    from topologies.configuration import load_configuration  # noqa: PLC0415  slow to import and not needed for --help
    from topologies.http_settings import HttpSettings  # noqa: PLC0415
    from topologies.interrupt import run_until_interrupted  # noqa: PLC0415
    from topologies.processes import Topology  # noqa: PLC0415

    configuration = load_configuration(config)
    if with_http and configuration.http is None:
        configuration = configuration.model_copy(update={"http": HttpSettings()})
    cluster = None if bootstrap is None else configuration.with_bootstrap(bootstrap).kafka.cluster
    folder = data or Path(configuration.broker.data)

    async def run() -> None:
        topology = Topology(configuration, data_folder=folder, cluster=cluster, replay=replay, on_line=echo, port=port)
        echo("Starting Kafka and the steps ..." if bootstrap is None else "Starting the steps ...")
        async with topology:
            kind = "replay" if replay else "live"
            echo(f"driftwire is up: Kafka at {topology.cluster}, {kind}, data in {folder}; Ctrl-C stops it.")
            await topology.wait_for_failure()

    if run_until_interrupted(run()):
        echo("driftwire has stopped.")
