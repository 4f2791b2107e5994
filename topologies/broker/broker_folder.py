"""Data folder of the embedded broker. One broker at a time locks it. A folder with other data is an error."""

import fcntl
import os
from pathlib import Path
from typing import IO

from topologies.errors import BrokerError

CLUSTER_ID = "ZHJpZnR3aXJlLWJyb2tlcg"
"""Kafka's encoding of the 16 bytes "driftwire-broker". A data folder with another id belongs to another Kafka."""

STORE_NAME = "kafka"
TEMPORARY_NAME = "temporary"
_LOCK_NAME = "broker.lock"


class BrokerFolder:
    """Data folder of one broker, locked from :meth:`acquire` to :meth:`release`.

    Parameters
    ----------
    path
        The folder. It is created if missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    @property
    def is_formatted(self) -> bool:
        """Whether Kafka has formatted its store."""
        return (self.path / STORE_NAME / "meta.properties").exists()

    def acquire(self) -> None:
        """Lock the folder until :meth:`release` or until this process ends, even by SIGKILL.

        Raises
        ------
        BrokerError
            If the folder is not writable, if another broker has locked it, or if it contains other files or data of another
            Kafka.
        """
        self._acquire_lock()
        try:
            self._check_store()
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Unlock the folder for other brokers."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _acquire_lock(self) -> None:
        try:
            (self.path / TEMPORARY_NAME).mkdir(parents=True, exist_ok=True)
            # This object keeps the file open. The kernel releases the lock at any end of the process.
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
                f"stop that broker, or choose another folder with --data"
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        self._lock = lock

    def _check_store(self) -> None:
        store = self.path / STORE_NAME
        advice = "choose another folder with --data, or move this folder"
        if not store.exists():
            return
        try:
            properties = store / "meta.properties"
            if properties.exists():
                lines = properties.read_text(encoding="utf-8", errors="replace").splitlines()
                if f"cluster.id={CLUSTER_ID}" not in (line.strip() for line in lines):
                    raise BrokerError(f"{store} belongs to another Kafka cluster: {advice}")
            elif any(store.iterdir()):
                raise BrokerError(f"{store} contains files but no Kafka data (meta.properties is missing): {advice}")
        except OSError as error:
            raise BrokerError(f"cannot read the data folder {store}: {error.strerror}") from error
