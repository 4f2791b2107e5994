"""Peers: other pipelines that read the same topic, each in a separate process that prints its rate."""

import asyncio
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from load.errors import LoadError
from schemas.topics import RECORDS
from topologies.broker import exit_with_parent

SCRIPTS = Path(__file__).parents[1] / "yardstick"

PEERS_PYTHON = Path(sys.prefix) / "peers" / "bin" / "python"
"""Interpreter of the environment with the other frameworks, which ``make peers`` installs."""

TIME_LIMIT_S = 300.0
ERROR_LINES = 3
"""Number of final output lines that an error message contains."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another pipeline.

    Attributes
    ----------
    title
        What it is, for tables.
    script
        File in ``load/bench/yardstick``.
    records_max
        Number of records that it reads. A larger number only prolongs the run, and does not change the rate.
    arguments
        Arguments of the script.
    in_own_environment
        Whether it runs in the environment of the peers.
    """

    title: str
    script: str
    records_max: int
    arguments: tuple[str, ...] = ()
    in_own_environment: bool = False

    @property
    def is_installed(self) -> bool:
        return not self.in_own_environment or PEERS_PYTHON.exists()

    @property
    def command(self) -> str:
        """The command that starts it from the root of the repository."""
        python = ".venv/peers/bin/python" if self.in_own_environment else "python"
        return " ".join((python, f"load/bench/yardstick/{self.script}", *self.arguments))


PEERS = {
    "obvious": Peer(
        "Faust agent with river, one event at a time", "obvious.py", 30_000, ("worker", "-l", "error", "--without-web")
    ),
    "quix": Peer("Quix Streams with river, one event at a time", "quix_peer.py", 200_000, in_own_environment=True),
    "bytewax": Peer("Bytewax with river, one event at a time", "bytewax_peer.py", 200_000, in_own_environment=True),
    "reading": Peer("only reading: aiokafka and orjson", "bare_reading.py", 400_000),
    "confluent": Peer(
        "only reading: confluent-kafka and msgspec", "bare_confluent.py", 400_000, in_own_environment=True
    ),
}
"""The peers by the last word of their ratio: ``ratio_to_quix``."""


async def run_peer(name: str, bootstrap: str, *, partitions: int, records: int) -> float:
    """Read the first records of the topic with a peer.

    Parameters
    ----------
    name
        Name in :data:`PEERS`.
    bootstrap
        ``HOST:PORT`` of the cluster.
    partitions, records
        Partitions of the topic, and records in it.

    Returns
    -------
    float
        Records per second since the first record, as printed by the peer.

    Raises
    ------
    LoadError
        If the peer is not installed, fails, or takes longer than :data:`TIME_LIMIT_S`.
    """
    peer = PEERS[name]
    if not peer.is_installed:
        raise LoadError(f"{peer.title} is not installed: run make peers")
    environment = os.environ | {
        "BOOTSTRAP": bootstrap,
        "TOPIC": RECORDS,
        "PARTITIONS": str(partitions),
        "TOTAL": str(min(records, peer.records_max)),
        "DETECT": "1",
    }
    if peer.in_own_environment:
        environment.pop("PYTHONPATH", None)
    with tempfile.TemporaryDirectory(prefix=f"driftwire-{name}-") as folder:
        child = await asyncio.create_subprocess_exec(
            str(PEERS_PYTHON) if peer.in_own_environment else sys.executable,
            str(SCRIPTS / peer.script),
            *peer.arguments,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=exit_with_parent(),
        )
        try:
            async with asyncio.timeout(TIME_LIMIT_S):
                output, _ = await child.communicate()
        except TimeoutError as error:
            raise LoadError(f"{peer.title} did not read {records} records in {TIME_LIMIT_S:.0f} s") from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    return _parse_rate(peer, output.decode(errors="replace"))


def _parse_rate(peer: Peer, output: str) -> float:
    for line in output.splitlines():
        number, separator, _ = line.partition(" records/s")
        if separator:
            return float(number)
    last = " / ".join(output.strip().splitlines()[-ERROR_LINES:]) or "nothing"
    raise LoadError(f"{peer.title} failed; last lines of its output: {last}")
