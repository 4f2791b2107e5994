"""Download of Kafka's jars from Maven's repository. They are checked against ``jars.lock`` and cached per user."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from topologies.errors import BrokerError
from topologies.private_files import make_private_folder

KAFKA_VERSION = "4.3.1"

LOCK_PATH = Path(__file__).with_name("jars.lock")

CONCURRENT_DOWNLOADS_MAX = 8
ATTEMPTS_MAX = 3
DOWNLOAD_TIMEOUT_S = 20

_READ_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Jar:
    """One line of the lock: Maven coordinates, and the SHA-256 of the file in hexadecimal digits."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def parse_lock(text: str) -> list[Jar]:
    """Parse the lock, which has one jar per line.

    >>> parse_lock("org.slf4j:slf4j-api:1.7.36 sha256:d3ef")[0].file_name
    'slf4j-api-1.7.36.jar'
    """
    jars = []
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            coordinates, digest = line.split(" sha256:")
            group, artifact, version = coordinates.split(":")
            jars.append(Jar(group, artifact, version, digest.strip()))
    return jars


def default_cache_folder() -> Path:
    """Return the cache folder of the jars, which follows the XDG specification."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "driftwire" / f"kafka-{KAFKA_VERSION}"


def fetch_jars(cache: Path | None = None, announce: Callable[[str], None] | None = None) -> list[Path]:
    """Return the paths of the jars in the lock, which form Kafka's classpath. Download the jars that the cache lacks.

    Parameters
    ----------
    cache
        Folder of the jars. The default is :func:`default_cache_folder`.
    announce
        Callback that receives a message before the download.

    Raises
    ------
    BrokerError
        If a jar cannot be downloaded or stored, or does not match the lock.
    """
    folder = cache or default_cache_folder()
    jars = parse_lock(LOCK_PATH.read_text(encoding="utf-8"))
    missing = [jar for jar in jars if not (folder / jar.file_name).is_file()]
    if missing:
        if announce:
            announce(f"Downloading Kafka {KAFKA_VERSION} once, {len(missing)} files, to {folder} ...")
        try:
            # Java runs these files, so no other user may replace them.
            make_private_folder(folder)
            with ThreadPoolExecutor(CONCURRENT_DOWNLOADS_MAX) as threads:
                list(threads.map(lambda jar: _download(jar, folder), missing))
        except OSError as error:
            raise BrokerError(f"cannot store Kafka's files in {folder}: {error.strerror or error}") from error
    return [folder / jar.file_name for jar in jars]


def _download(jar: Jar, folder: Path) -> None:
    import requests  # noqa: PLC0415  slow to import and only needed at the first start, like jgo
    from jgo.maven import MavenContext  # noqa: PLC0415

    problem = ""
    for _ in range(ATTEMPTS_MAX):
        # jgo writes directly to the final name, so an incomplete download must stay in a separate folder.
        with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
            context = MavenContext(repo_cache=Path(scratch), timeout=DOWNLOAD_TIMEOUT_S)
            try:
                path = context.project(jar.group, jar.artifact).at_version(jar.version).artifact().resolve()
            except (requests.RequestException, RuntimeError) as error:
                problem = _short_text(error)
                continue
            if _sha256(path) == jar.sha256:
                path.replace(folder / jar.file_name)
                return
            problem = "the file does not match driftwire's lock"
    raise BrokerError(
        f"cannot download {jar.file_name} ({problem}): the first start needs the network, "
        f"or a copy of {folder} from another machine"
    )


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _short_text(error: Exception) -> str:
    """Return a short description of a network error. The error messages of ``requests`` contain a chain of causes."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    for phrase in (
        "Name or service not known",
        "Temporary failure in name resolution",
        "Connection refused",
        "timed out",
    ):
        if phrase in text:
            return phrase.lower()
    return type(error).__name__ if len(text) > 100 else text
