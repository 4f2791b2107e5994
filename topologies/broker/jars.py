"""Kafka's jars: fetched once from Maven's repository, checked against ``jars.lock``, kept in the user's cache folder."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from topologies.errors import BrokerError

KAFKA_VERSION = "4.3.1"

LOCK = Path(__file__).with_name("jars.lock")

DOWNLOADS_AT_ONCE = 8
ATTEMPTS = 3
TIMEOUT_S = 20

_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: Maven's coordinates and the SHA-256 of the file, in hexadecimal digits."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def read_lock(text: str) -> list[Jar]:
    """Read the lock, one jar a line.

    >>> read_lock("org.slf4j:slf4j-api:1.7.36 sha256:d3ef")[0].file_name
    'slf4j-api-1.7.36.jar'
    """
    jars = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            coordinates, digest = line.split(" sha256:")
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, digest.strip()))
    return jars


def default_cache() -> Path:
    """Where the jars are kept: the user's cache folder as the XDG specification names it."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "driftwire" / f"kafka-{KAFKA_VERSION}"


def kafka_jars(cache: Path | None = None, announce: Callable[[str], None] | None = None) -> list[Path]:
    """Kafka's classpath: every jar of the lock, downloading those that the cache has not.

    Parameters
    ----------
    cache
        The folder that keeps the jars; absent: :func:`default_cache`.
    announce
        Is told once, in a sentence, before anything is downloaded.

    Raises
    ------
    BrokerError
        If a jar is neither there nor to be had, or is not the one that the lock names.
    """
    folder = cache or default_cache()
    jars = read_lock(LOCK.read_text(encoding="utf-8"))
    missing = [jar for jar in jars if not (folder / jar.file_name).is_file()]
    if missing:
        if announce:
            announce(f"Downloading Kafka {KAFKA_VERSION} once, {len(missing)} files, to {folder} ...")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as threads:
                list(threads.map(lambda jar: _download(jar, folder), missing))
        except OSError as error:
            raise BrokerError(f"cannot keep Kafka's files in {folder}: {error.strerror or error}") from error
    return [folder / jar.file_name for jar in jars]


def _download(jar: Jar, folder: Path) -> None:
    import requests  # noqa: PLC0415  jgo brings it, and both are slow to import: only a first start needs them
    from jgo.maven import MavenContext  # noqa: PLC0415

    problem = ""
    for _ in range(ATTEMPTS):
        # jgo writes straight to the final name, so a download that breaks off must end in a folder nobody reads.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
            context = MavenContext(repo_cache=Path(scratch), timeout=TIMEOUT_S)
            try:
                path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            except (requests.RequestException, RuntimeError) as error:
                problem = _first_line(error)
                continue
            if _sha256(path) == jar.sha256:
                path.replace(folder / jar.file_name)
                return
            problem = "what came is not the file that driftwire's lock names"
    raise BrokerError(
        f"cannot download {jar.file_name} ({problem}): the first start needs the network, "
        f"or a copy of another machine's {folder}"
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _first_line(error: Exception) -> str:
    """A network error in few words: requests nests a whole chain of causes into one text."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    for words in (
        "Name or service not known",
        "Temporary failure in name resolution",
        "Connection refused",
        "timed out",
    ):
        if words in text:
            return words.lower()
    return type(error).__name__ if len(text) > 100 else text
