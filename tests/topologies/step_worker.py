"""A real worker of one step, in a replay, with a fault from the environment."""

import sys
from pathlib import Path

from tests.topologies.faults import install_from_environment
from topologies import correlate, detect
from topologies.configuration.configuration import load_configuration
from topologies.runtime.faust_worker import run_worker

BUILD = {"detect": detect.build, "correlate": correlate.build}


def main() -> None:
    install_from_environment()
    run_worker(BUILD[sys.argv[1]](load_configuration(Path(sys.argv[2])), replay=True))


if __name__ == "__main__":
    main()
