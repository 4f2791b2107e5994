"""mypy in strict mode checks the calls of the client."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

CLIENT = Path(__file__).parents[2] / "client"

CALLER = """
from driftwire_client import Client

client = Client("127.0.0.1:9092", subject="support-bot")
client.record(latency_ms=812, error=False, embedding=[0.5], versions={"model": 7}, confidence=None)
client.outcome("r-81", thumbs_down=True)
client.deployed(kind="model", subject=["chat", "search"])
client.record(latency_ms="fast")  # wrong
client.record(latency=812)  # wrong
client.record("support-bot")  # wrong
client.outcome(thumbs_down=True)  # wrong
client.outcome("r-81", latency_ms=812)  # wrong
client.deployed(subject="chat")  # wrong
"""


@pytest.mark.slow
def test_mypy_accepts_right_calls_and_rejects_wrong_ones(tmp_path: Path) -> None:
    caller = tmp_path / "caller.py"
    caller.write_text(CALLER)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--cache-dir", tmp_path / "cache", caller],
        cwd=tmp_path,
        env={"MYPYPATH": str(CLIENT)},
        check=False,
        capture_output=True,
        text=True,
    )
    rejected = {int(line) for line in re.findall(r"caller\.py:(\d+): error", done.stdout)}
    wrong = {number for number, line in enumerate(CALLER.splitlines(), 1) if "# wrong" in line}
    assert rejected == wrong, done.stdout
