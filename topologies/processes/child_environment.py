"""Environment of the commands that driftwire runs as child processes."""

import os

from topologies.kafka_security import PASSWORD_VARIABLE

VARIABLE_PREFIX = "DRIFTWIRE_"
"""Prefix of every environment variable that changes a driftwire setting or option."""


def child_environment() -> dict[str, str]:
    """Return the environment of this process without the variables that change settings or options.

    The parent passes all settings to its children. A variable would override them: with the address of a live cluster
    in ``DRIFTWIRE_BOOTSTRAP``, the workers of a demo would join the live consumer groups. The Kafka user's password is
    kept, because it may exist only in the environment.
    """
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(VARIABLE_PREFIX) or name == PASSWORD_VARIABLE
    }
