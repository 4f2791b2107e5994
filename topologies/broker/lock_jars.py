"""Regenerate ``jars.lock``: Kafka's jars, their dependencies and the SHA-256 of each file. For maintainers."""

import hashlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jgo
from jgo.maven import Artifact, MavenContext

from topologies.broker.jars import CONCURRENT_DOWNLOADS_MAX, DOWNLOAD_TIMEOUT_S, KAFKA_VERSION, LOCK_PATH

SLF4J_VERSION = "1.7.36"
"""Version of SLF4J that this Kafka version requires. Its simple logger writes to standard error."""

ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:{SLF4J_VERSION}"

_HEADER = "# Kafka's jars and their SHA-256, written by `make lock`. The broker's classpath contains nothing else.\n"


def main() -> None:
    """Resolve the jars, download them into a temporary folder, and write the lock."""
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(CONCURRENT_DOWNLOADS_MAX) as threads:
        context = MavenContext(repo_cache=Path(scratch), timeout=DOWNLOAD_TIMEOUT_S)

        def line(artifact: Artifact) -> str:
            component = context.project(artifact.groupId, artifact.artifactId).at_version(artifact.version)
            digest = hashlib.sha256(component.artifact().resolve().read_bytes()).hexdigest()
            return f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} sha256:{digest}\n"

        LOCK_PATH.write_text(_HEADER + "".join(sorted(threads.map(line, jgo.resolve(ENDPOINT)))), encoding="utf-8")


if __name__ == "__main__":
    main()
