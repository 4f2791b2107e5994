"""The data folder of the embedded broker: held by one broker at a time, and never one that is not ours."""

import fcntl
import os
from pathlib import Path
from typing import IO

from topologies.errors import BrokerError

CLUSTER_ID = "ZHJpZnR3aXJlLWJyb2tlcg"
"""Kafka's form of 16 bytes, here "driftwire-broker": a data folder with another id belongs to another Kafka."""

STORE_NAME = "kafka"
TEMPORARY_NAME = "temporary"
_LOCK_NAME = "broker.lock"


class BrokerFolder:
    """One folder, to be taken before a broker starts on it and let go when it has stopped.

    Parameters
    ----------
    path
        The folder; made where missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    @property
    def formatted(self) -> bool:
        """Whether Kafka has laid out its store."""
        return (self.path / STORE_NAME / "meta.properties").exists()

    def take(self) -> None:
        """Hold the folder until :meth:`let_go`, or until this process ends, however it ends.

        Raises
        ------
        BrokerError
            If it is not writable, held by another broker, or has another Kafka's data or other files in it.
        """
        self._hold()
        try:
            self._check_store()
        except BaseException:
            self.let_go()
            raise

    def let_go(self) -> None:
        """Let another broker have it."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _hold(self) -> None:
        try:
            (self.path / TEMPORARY_NAME).mkdir(parents=True, exist_ok=True)
            # Held open by this object: the kernel lets go of the lock when the holder dies, however it dies.
            lock = (self.path / _LOCK_NAME).open("a+", encoding="utf-8")
        except OSError as error:
            raise BrokerError(f"cannot write to the data folder {self.path}: {error.strerror}") from error
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            raise BrokerError(
                f"the data folder {self.path} is in use by another broker (pid {holder}): "
                f"stop that one, or choose another folder with --data"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _check_store(self) -> None:
        store = self.path / STORE_NAME
        advice = "choose another folder with --data, or move this one away"
        if not store.exists():
            return
        try:
            properties = store / "meta.properties"
            if properties.exists():
                lines = properties.read_text(encoding="utf-8", errors="replace").splitlines()
                if f"cluster.id={CLUSTER_ID}" not in (line.strip() for line in lines):
                    raise BrokerError(f"{store} belongs to another Kafka cluster: {advice}")
            elif any(store.iterdir()):
                raise BrokerError(f"{store} holds files but no Kafka data (meta.properties is missing): {advice}")
        except OSError as error:
            raise BrokerError(f"cannot read the data folder {store}: {error.strerror}") from error
