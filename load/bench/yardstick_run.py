"""Running the yardstick: the obvious pipeline, a Faust agent that takes one event at a time, in a process of its own."""

import asyncio
import os
import sys
import tempfile
from pathlib import Path

from load.errors import LoadError
from schemas.topics import RECORDS
from topologies.broker import exit_with_parent

SCRIPT = Path(__file__).parent / "yardstick" / "obvious.py"
COMMAND = ("python", "load/bench/yardstick/obvious.py", "worker", "-l", "error", "--without-web")
TIME_LIMIT_S = 180.0
LAST_LINES = 3


async def run_obvious(bootstrap: str, *, partitions: int, records: int, detect: bool) -> float:
    """Read the first records of the topic.

    Parameters
    ----------
    bootstrap
        ``HOST:PORT`` of the cluster.
    partitions, records
        Of the topic; how many to read before the clock stops.
    detect
        Whether it runs its detectors, or does nothing with a record.

    Returns
    -------
    float
        Records a second from its first record on, as it prints them.

    Raises
    ------
    LoadError
        If it fails or takes longer than :data:`TIME_LIMIT_S`.
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
            sys.executable, str(SCRIPT), *COMMAND[2:],
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            preexec_fn=exit_with_parent(),
        )  # fmt: skip
        try:
            async with asyncio.timeout(TIME_LIMIT_S):
                raw, _ = await child.communicate()
        except TimeoutError as error:
            raise LoadError(f"the obvious pipeline did not read {records} records in {TIME_LIMIT_S:.0f} s") from error
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()
    return _rate(raw.decode(errors="replace"))


def _rate(text: str) -> float:
    for line in text.splitlines():
        number, separator, _ = line.partition(" records/s")
        if separator:
            return float(number)
    last = " / ".join(text.strip().splitlines()[-LAST_LINES:]) or "nothing"
    raise LoadError(f"the obvious pipeline failed; its last words: {last}")
