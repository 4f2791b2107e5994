"""The real detect worker, with a fault that the environment names."""

import sys
from pathlib import Path

from tests.topologies.faults import install_from_environment
from topologies.configuration import load
from topologies.detect import build
from topologies.run import run_worker


def main() -> None:
    install_from_environment()
    run_worker(build(load(Path(sys.argv[1])), replay=True))


if __name__ == "__main__":
    main()
