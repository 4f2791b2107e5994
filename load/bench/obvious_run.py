"""Runs of the reference pipeline, a Faust agent that processes one event at a time, in a separate process."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from load.errors import LoadError
from schemas.topics import RECORDS
from topologies.broker import exit_with_parent

SCRIPT = Path(__file__).parent / "yardstick" / "obvious.py"
ARGUMENTS = ("worker", "-l", "error", "--without-web")
COMMAND = ("python", "load/bench/yardstick/obvious.py", *ARGUMENTS)
"""Command that starts the reference pipeline from the root of the repository."""

TIME_LIMIT_S = 180.0
ERROR_LINES = 3
"""Number of final output lines that an error message contains."""


async def run_obvious(bootstrap: str, *, partitions: int, records: int, detect: bool) -> float:
    """Read the first records of the topic with the reference pipeline.

    Parameters
    ----------
    bootstrap
        ``HOST:PORT`` of the cluster.
    partitions
        Partitions of the topic.
    records
        Records to read.
    detect
        Whether to run the detectors. If false, the pipeline discards each record.

    Returns
    -------
    float
        Records per second since the first record, as printed by the pipeline.

    Raises
    ------
    LoadError
        If the pipeline fails or takes longer than :data:`TIME_LIMIT_S`.
    """
    environment = os.environ | {
        "BOOTSTRAP": bootstrap,
        "TOPIC": RECORDS,
        "PARTITIONS": str(partitions),
        "TOTAL": str(records),
        "DETECT": "1" if detect else "0",
    }
    with tempfile.TemporaryDirectory(prefix="driftwire-obvious-") as folder:
        child = await asyncio.create_subprocess_exec(
            sys.executable,
            str(SCRIPT),
            *ARGUMENTS,
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
            raise LoadError(f"the reference pipeline did not read {records} records in {TIME_LIMIT_S:.0f} s") from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    return _parse_rate(output.decode(errors="replace"))


def _parse_rate(output: str) -> float:
    for line in output.splitlines():
        number, separator, _ = line.partition(" records/s")
        if separator:
            return float(number)
    last = " / ".join(output.strip().splitlines()[-ERROR_LINES:]) or "nothing"
    raise LoadError(f"the reference pipeline failed; last lines of its output: {last}")
