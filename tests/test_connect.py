"""The page "connect", followed word for word, leads to the first incident of a service within five minutes.

The page states in a comment above a block what the block is: a file, a command that keeps running, the end of such a
command, or a command that is repeated until it prints something. Other blocks of ``sh`` are run once. Only the port of
Kafka differs from the page, because port 9092 may be in use.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "connect.md"

BLOCK = re.compile(
    r"^(?:<!-- (?P<note>[^\n]+) -->\n)?```(?P<kind>sh|python|toml)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


class Reader:
    """A reader who does what a section of the page says."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.outputs = folder, ""
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self._environment = os.environ | {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "client"))),
            "COLUMNS": "120",
            "DRIFTWIRE_BOOTSTRAP": f"127.0.0.1:{self._port}",
        }
        self._running: list[tuple[str, subprocess.Popen[bytes]]] = []

    def follow(self, heading: str) -> None:
        for note, text in blocks(heading):
            action, _, argument = note.partition(" ")
            match action:
                case "file":
                    (self.folder / argument).write_text(text.replace("9092", str(self._port)))
                case "background":
                    self._start(argument, text)
                case "until":
                    self._repeat_until(argument.strip('"'), text)
                case "stop":
                    self._stop(argument)
                    self._run(text)
                case _:
                    self._run(text)

    def close(self) -> None:
        self._stop(None)

    def _start(self, name: str, command: str) -> None:
        if command.startswith("driftwire up"):
            command = f"env -u DRIFTWIRE_BOOTSTRAP {command.strip()} --port {self._port}"
        log = self.folder / f"log-{len(list(self.folder.glob('log-*')))}"
        with log.open("wb") as output:
            self._running.append((name, self._open(f"exec {command}", output)))
        if "driftwire up" in command:
            self._wait_for(log, "driftwire is up")

    def _open(self, command: str, output: object) -> "subprocess.Popen[bytes]":
        return subprocess.Popen(
            ["/bin/bash", "-c", command],
            cwd=self.folder,
            env=self._environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )

    def _wait_for(self, log: Path, text: str) -> None:
        deadline = time.monotonic() + 90
        while text not in log.read_text():
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)

    def _run(self, commands: str, *, within: float | None = None) -> str:
        """Run commands. They may fail until the time ``within``, because something is about to start."""
        ended = subprocess.run(
            ["/bin/bash", "-ec", commands],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
        )
        is_early = within is not None and time.monotonic() < within
        assert ended.returncode == 0 or is_early, f"{commands}\n{ended.stdout}\n{ended.stderr}"
        self.outputs += ended.stdout
        return ended.stdout

    def _repeat_until(self, text: str, command: str) -> None:
        deadline = time.monotonic() + 60
        while text not in (output := self._run(command, within=deadline)):
            assert time.monotonic() < deadline, output
            time.sleep(1)

    def _stop(self, name: str | None) -> None:
        """Stop the processes of this name, or all of them, the newest first."""
        for entry in reversed(self._running.copy()):
            if name in (None, entry[0]):
                entry[1].send_signal(signal.SIGINT)
                entry[1].wait(30)
                self._running.remove(entry)


def blocks(heading: str) -> Iterator[tuple[str, str]]:
    """The blocks of a section, with what the page says about them."""
    (section,) = re.findall(rf"^## {heading}\n(.*?)(?=^## |\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    for match in BLOCK.finditer(section):
        yield match["note"] or "", match["text"]


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    reader = Reader(tmp_path)
    yield reader
    reader.close()


@pytest.mark.parametrize(
    ("heading", "suspect"), [("From Python", "prompt v1 -> v2"), ("From a JSON topic", "prompt 7 -> 8")]
)
def test_the_page_leads_to_an_incident_of_a_service(reader: Reader, heading: str, suspect: str) -> None:
    reader.follow(heading)

    assert suspect in reader.outputs
