"""Commands in separate processes that start within milliseconds, because a server with all imports forks them."""

import importlib
import multiprocessing
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

PRELOADED = ("tests.command_processes", "pipeline.review", "load.traffic", "topologies.runtime", "topologies.processes")

WORKER_WAITS_S = 5.0
"""Seconds that ``driftwire worker`` waits for Kafka in a test, instead of a minute."""

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(list(PRELOADED))


@dataclass
class Ended:
    """The end of one command."""

    status: int | None
    output: str
    errors: str
    seconds: float


def _run(program: str, arguments: Sequence[str], output: Path, errors: Path) -> None:
    for path, descriptor in ((output, 1), (errors, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
    sys.argv = [program, *arguments]
    importlib.import_module("topologies.commands.worker").BROKER_WAIT_S = WORKER_WAITS_S  # type: ignore[attr-defined]
    importlib.import_module(program).main()


def start_command(command: Sequence[str], folder: Path, number: int) -> BaseProcess:
    """Start a command, given as a module and its arguments. Its output goes to files in a folder."""
    program, *arguments = command
    files = (folder / f"output-{number}", folder / f"errors-{number}")
    process = _context.Process(target=_run, args=(program, arguments, *files))
    process.start()
    return process


def wait_for_commands(processes: Mapping[str, BaseProcess], folder: Path, timeout_s: float) -> dict[str, Ended]:
    """Wait for commands. A process that exceeds the timeout is killed, and its status is None."""
    started_s = time.monotonic()
    seconds: dict[str, float] = {}
    while len(seconds) < len(processes) and time.monotonic() - started_s < timeout_s:
        for name, process in processes.items():
            if name not in seconds and process.exitcode is not None:
                seconds[name] = time.monotonic() - started_s
        time.sleep(0.05)
    ends = {}
    for number, (name, process) in enumerate(processes.items()):
        status = process.exitcode
        if status is None:
            process.kill()
            process.join()
        output, errors = (folder / f"{kind}-{number}" for kind in ("output", "errors"))
        ends[name] = Ended(status, output.read_text(), errors.read_text(), seconds.get(name, timeout_s))
    return ends
