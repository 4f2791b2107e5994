"""Files and sockets of driftwire: files are private, and sockets listen only on the loopback interface."""

import ipaddress
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

START_TIMEOUT_S = 100.0
LISTENING = "0A"


@pytest.fixture(scope="module")
def data_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """The data folder and the process id of a running ``driftwire up``, started with an open umask."""
    folder = tmp_path_factory.mktemp("machine")
    log = folder / "log"
    with log.open("wb") as stream:
        up = subprocess.Popen(
            [sys.executable, "-m", "topologies.cli", "up", "--port", "0", "--data", str(folder / "data")],
            stdout=stream,
            stderr=subprocess.STDOUT,
            umask=0,
        )
    try:
        deadline = time.monotonic() + START_TIMEOUT_S
        while "driftwire is up" not in log.read_text():
            assert up.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.2)
        yield folder / "data", up.pid
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(60)


@pytest.mark.timeout(200)
def test_every_file_and_folder_belongs_to_its_owner_alone(data_folder: tuple[Path, int]) -> None:
    folder, _ = data_folder
    made = [folder, *folder.rglob("*")]
    assert len(made) > 20
    assert [path for path in made if stat.S_IMODE(path.lstat().st_mode) & 0o077] == []


@pytest.mark.timeout(200)
def test_every_listening_socket_is_on_the_loopback_interface(data_folder: tuple[Path, int]) -> None:
    _, pid = data_folder
    addresses = list(listening_addresses(processes_below(pid)))
    assert len(addresses) == 2  # one for clients, one for the controller of Kafka
    assert all(address.is_loopback for address in addresses)


def processes_below(pid: int) -> list[int]:
    children = re.findall(r"\d+", "".join(path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")))
    return [pid, *(inner for child in children for inner in processes_below(int(child)))]


def listening_addresses(pids: list[int]) -> Iterator[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    links = [link for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    inodes = {match[1] for link in links if (match := re.fullmatch(r"socket:\[(\d+)\]", read_link(link)))}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *rest = line.split()
            if state == LISTENING and rest[5] in inodes:
                yield parse_address(local.partition(":")[0])


def read_link(link: Path) -> str:
    try:
        return str(link.readlink())
    except OSError:  # closed in the meantime
        return ""


def parse_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """Parse an address in a kernel table: four-byte words in the processor's byte order."""
    words = bytes.fromhex(text)
    packed = b"".join(words[start : start + 4][::-1] for start in range(0, len(words), 4))
    if len(packed) == 4:
        return ipaddress.IPv4Address(packed)
    address = ipaddress.IPv6Address(packed)
    return address.ipv4_mapped or address
