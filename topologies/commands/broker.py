"""``driftwire broker``: the embedded Kafka alone, in the foreground."""

from pathlib import Path

import click

from topologies.commands.running_options import config_option, data_option
from topologies.terminal import echo


@click.command("broker", short_help="Run the embedded Kafka alone until Ctrl-C.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    help="Port to listen on. 0 selects a free port.  [default: broker.port (9092)]",
)
@data_option
@click.option(
    "--heap",
    type=click.IntRange(256, 65536),
    metavar="MIB",
    help="Memory of the Java process in MiB.  [default: broker.heap_mib (512)]",
)
@config_option
def command(port: int | None, data: Path | None, heap: int | None, config: Path | None) -> None:
    """Run the embedded Kafka alone until Ctrl-C, and create driftwire's topics.

    The broker listens on 127.0.0.1 only, needs neither Java nor Docker, and stores its messages in the data folder.
    The first start downloads 45 MB.
    """
    from topologies.configuration import load_configuration  # noqa: PLC0415  slow to import and not needed for --help
    from topologies.interrupt import run_until_interrupted  # noqa: PLC0415

    configuration = load_configuration(config)
    settings = configuration.broker
    work = _run_broker(
        data or Path(settings.data),
        settings.port if port is None else port,
        settings.heap_mib if heap is None else heap,
        configuration.kafka.records_partitions,
    )
    if run_until_interrupted(work):
        echo("Kafka has stopped.")


async def _run_broker(data_folder: Path, port: int, heap_mib: int, records_partitions: int) -> None:
    from topologies.broker import KAFKA_VERSION, EmbeddedBroker, create_topics  # noqa: PLC0415

    async with EmbeddedBroker(data_folder, port=port, heap_mib=heap_mib, announce=echo) as broker:
        await create_topics(broker.cluster, records_partitions, 1)
        echo(f"Kafka {KAFKA_VERSION} listens on {broker.bootstrap}; data in {data_folder}; Ctrl-C stops it.")
        await broker.wait_for_failure()
