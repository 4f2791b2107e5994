"""Sockets, files and folders that other users and machines can reach while driftwire runs."""

import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from load import cli as load_cli
from load.chaos.receiver import WebhookServer
from load.wire import WireProxy
from topologies.configuration import Configuration, write_configuration

LISTENING = "0A"
LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F"}
"""127.0.0.1 in ``/proc/net/tcp`` and, as an IPv6 address, in ``/proc/net/tcp6``."""

ROOT = Path(__file__).parents[3]
OPERATIONS = ROOT / "docs" / "operations.md"


def process_tree(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(status.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        children.setdefault(parent, []).append(int(status.parent.name))
    tree = [pid]
    for process in tree:
        tree += children.get(process, [])
    return tree


def listening_sockets(pids: list[int]) -> set[tuple[str, int]]:
    """Return (address in hexadecimal digits, port) of the sockets on which processes listen, as ``ss -ltnp`` does."""
    inodes = set()
    for pid in pids:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            try:
                target = str(descriptor.readlink())
            except FileNotFoundError:
                continue
            inodes |= set(re.findall(r"socket:\[(\d+)\]", target))
    sockets = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == LISTENING and fields[9] in inodes:
                address, port = fields[1].split(":")
                sockets.add((address, int(port, 16)))
    return sockets


@contextmanager
def running(module: str, *arguments: str, until: str, temporary: Path) -> Iterator[int]:
    """Run a command under the widest umask until the block ends. Yield its process id after it prints ``until``."""
    with subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        env=os.environ | {"TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        umask=0,
    ) as command:
        assert command.stdout is not None
        lines = []
        for line in command.stdout:
            lines.append(line)
            if until in line:
                break
        assert command.poll() is None, lines
        try:
            yield command.pid
        finally:
            command.send_signal(signal.SIGINT)
            command.communicate(timeout=60)


def documented_ports(data: Path) -> set[int]:
    """Return the ports of the table in docs/operations.md, resolved with the broker's settings."""
    section = OPERATIONS.read_text().partition("### Ports")[2].partition("\n#")[0]
    listeners = re.findall(r"^\| [^|]*`(CLIENTS|CONTROLLER)`", section, re.MULTILINE)
    properties = (data / "server.properties").read_text()
    return {
        int(re.search(rf"^listeners=.*{name}://127\.0\.0\.1:(\d+)", properties, re.MULTILINE)[1]) for name in listeners
    }


def exposed(folder: Path) -> list[str]:
    """Return all paths in a folder, including the folder itself, that its group or other users can access."""
    return [
        f"{stat.filemode(path.lstat().st_mode)} {path.relative_to(folder)}"
        for path in (folder, *folder.rglob("*"))
        if path.lstat().st_mode & 0o077
    ]


@pytest.mark.kafka
@pytest.mark.timeout(300)
def test_up_listens_on_documented_ports_of_this_machine_and_its_files_are_private(tmp_path):
    data = tmp_path / "new" / "data"
    with running(
        "topologies.cli", "up", "--port", "0", "--data", str(data), until="driftwire is up", temporary=tmp_path
    ) as pid:
        tree = process_tree(pid)
        sockets = listening_sockets(tree)
        assert len(tree) == 5  # the command, Java, three workers
        assert {address for address, _ in sockets} <= LOOPBACK
        assert {port for _, port in sockets} == documented_ports(data)
        assert {"kafka", "temporary", "kafka.log", "broker.lock", "server.properties", "configuration.json"} <= {
            path.name for path in data.iterdir()
        }
        assert exposed(tmp_path / "new") == []
    assert exposed(tmp_path / "new") == []


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_demo_listens_on_documented_ports_of_this_machine_and_its_files_are_private(tmp_path):
    with running("load.cli", "demo", "--seed", "2", until="Playing 34 minutes of traffic", temporary=tmp_path) as pid:
        [data] = tmp_path.glob("driftwire-*")
        sockets = listening_sockets(process_tree(pid))
        assert {address for address, _ in sockets} <= LOOPBACK
        assert {port for _, port in sockets} == documented_ports(data)
        assert exposed(data) == []


def test_the_documents_name_every_run_with_servers_or_a_broker_of_its_own():
    ports = OPERATIONS.read_text().partition("### Ports")[2].partition("\n#")[0]
    row = re.search(r"^\| receivers of .*", ports, re.MULTILINE)[0]
    sources = {name: (ROOT / "load" / "commands" / f"{name}.py").read_text() for name in load_cli.COMMANDS}
    assert set(re.findall(r"`([a-z]+)`", row)) == {name for name in sources if "from load.chaos" in sources[name]}
    security = (ROOT / "docs" / "security.md").read_text().partition("## TLS and SASL")[0]
    for name in load_cli.COMMANDS.keys() - {
        "generate",
        "probe",
        "score",
    }:  # two use no Kafka, and probe only a given one
        assert f"`{name}`" in security.replace("driftwire-load ", ""), name


async def test_the_servers_of_a_chaos_run_listen_on_this_machine_only():
    before = listening_sockets([os.getpid()])
    async with WebhookServer() as receiver, WireProxy("127.0.0.1:1") as proxy:
        opened = listening_sockets([os.getpid()]) - before
        assert {port for _, port in opened} == {receiver.port, proxy.port}
        assert {address for address, _ in opened} <= LOOPBACK


@pytest.mark.kafka
@pytest.mark.timeout(300)
async def test_the_store_of_an_earlier_version_becomes_private(tmp_path):
    from topologies.broker import EmbeddedBroker  # noqa: PLC0415

    async with EmbeddedBroker(tmp_path):
        pass
    for path in tmp_path.rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)
    tmp_path.chmod(0o755)
    async with EmbeddedBroker(tmp_path):
        assert [line for line in exposed(tmp_path) if "/" not in line] == ["drwxr-xr-x ."]


def test_a_configuration_with_secrets_is_private_even_over_a_file_that_was_not(tmp_path):
    path = tmp_path / "configuration.json"
    path.write_text("x" * 100_000)
    path.chmod(0o666)
    write_configuration(Configuration(), path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not path.read_text().endswith("x")
