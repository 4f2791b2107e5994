"""Data folder of the embedded broker. One broker at a time locks it. A folder with other data is an error."""

import base64
import fcntl
import os
import secrets
from pathlib import Path
from typing import IO

from topologies.errors import BrokerError
from topologies.private_files import FILE_MODE, FOLDER_MODE, make_private_folder

CLUSTER_ID_PREFIX = "ZHJpZnR3aXJl"
"""Prefix of the cluster id of every embedded broker. A data folder with another id belongs to another Kafka."""

STORE_NAME = "kafka"
TEMPORARY_NAME = "temporary"
META_NAME = "meta.properties"
_LOCK_NAME = "broker.lock"


class BrokerFolder:
    """Data folder of one broker, locked from :meth:`acquire` to :meth:`release`.

    Parameters
    ----------
    path
        The folder. A missing folder is created. Only the owner can access the store and the broker's files in it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock: IO[str] | None = None

    @property
    def is_formatted(self) -> bool:
        """Whether Kafka has formatted its store."""
        return self._meta.exists()

    @property
    def cluster_id(self) -> str | None:
        """Cluster id of the store, which is unique to the folder, or None if the store is not formatted."""
        if not self.is_formatted:
            return None
        lines = self._meta.read_text(encoding="utf-8", errors="replace").splitlines()
        entries = (line.strip().partition("=") for line in lines)
        return next((value for name, _, value in entries if name == "cluster.id"), "")

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

    @property
    def _meta(self) -> Path:
        return self.path / STORE_NAME / META_NAME

    def _acquire_lock(self) -> None:
        try:
            make_private_folder(self.path / TEMPORARY_NAME)
            # This object keeps the file open. The kernel releases the lock however the process ends.
            lock = (self.path / _LOCK_NAME).open("a+", encoding="utf-8")
            os.fchmod(lock.fileno(), FILE_MODE)
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
            cluster_id = self.cluster_id
            if cluster_id is None and any(store.iterdir()):
                raise BrokerError(f"{store} contains files but no Kafka data ({META_NAME} is missing): {advice}")
            if cluster_id is not None and not cluster_id.startswith(CLUSTER_ID_PREFIX):
                raise BrokerError(f"{store} belongs to another Kafka cluster: {advice}")
            # An earlier version made these folders readable by all users.
            for folder in (store, self.path / TEMPORARY_NAME):
                folder.chmod(FOLDER_MODE)
        except OSError as error:
            raise BrokerError(f"cannot read the data folder {store}: {error.strerror}") from error


def new_cluster_id() -> str:
    """Return a cluster id for a new store: Kafka's encoding of the bytes "driftwire" and seven random bytes.

    >>> len(new_cluster_id()), new_cluster_id().startswith(CLUSTER_ID_PREFIX)
    (22, True)
    """
    return base64.urlsafe_b64encode(b"driftwire" + secrets.token_bytes(7)).decode().rstrip("=")
