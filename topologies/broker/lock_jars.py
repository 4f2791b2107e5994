"""Writes ``jars.lock`` anew: Kafka's jars with all that they need, and the SHA-256 of each. For maintainers."""

import hashlib
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jgo
from jgo.maven import Artifact, MavenContext

from topologies.broker.jars import DOWNLOADS_AT_ONCE, KAFKA_VERSION, LOCK, TIMEOUT_S

SLF4J_VERSION = "1.7.36"
"""The one that this Kafka's own jars ask for: its simple logger writes to standard error."""

ENDPOINT = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}+org.slf4j:slf4j-simple:{SLF4J_VERSION}"

_HEAD = (
    "# Kafka's jars and their SHA-256, as `make lock` wrote them. "
    "Nothing else is ever put on the broker's classpath.\n"
)  # fmt: skip


def main() -> None:
    """Resolve, download into a folder of its own, and write the lock."""
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(DOWNLOADS_AT_ONCE) as threads:
        context = MavenContext(repo_cache=Path(scratch), timeout=TIMEOUT_S)

        def line(artifact: Artifact) -> str:
            component = context.project(artifact.groupId, artifact.artifactId).at_version(artifact.version)
            digest = hashlib.sha256(component.artifact().resolve().read_bytes()).hexdigest()
            return f"{artifact.groupId}:{artifact.artifactId}:{artifact.version} sha256:{digest}\n"

        LOCK.write_text(_HEAD + "".join(sorted(threads.map(line, jgo.resolve(ENDPOINT)))), encoding="utf-8")


if __name__ == "__main__":
    main()
