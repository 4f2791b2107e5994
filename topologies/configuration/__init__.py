"""The configuration file: classes, checks and errors.

This package may import the settings of all steps, and kafka.
"""

from topologies.configuration.configuration import (
    Configuration,
    ConfigurationError,
    KafkaSettings,
    load_configuration,
    write_configuration,
)
from topologies.configuration.problems import changed_keys
from topologies.configuration.route_check import parts_without_effect

__all__ = [
    "Configuration",
    "ConfigurationError",
    "KafkaSettings",
    "changed_keys",
    "load_configuration",
    "parts_without_effect",
    "write_configuration",
]
