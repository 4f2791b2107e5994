"""Scenarios, settings and data for the tests of the score."""

from pathlib import Path

from load.score.simulation.scenario import Scenario, read_scenarios
from pipeline.detect.settings import DetectSettings

SETTINGS = DetectSettings()
SEED = 77
DATA = Path(__file__).parents[4] / "shared" / "data"
ALL = read_scenarios()


def find_scenario(name: str) -> Scenario:
    return next(scenario for scenario in ALL if scenario.name == name)


def shorten(name: str, **changes: object) -> Scenario:
    """The scenario of a name, with 40 seconds before the change and 60 after it."""
    return find_scenario(name).model_copy(update={"healthy_s": 40.0, "after_s": 60.0, **changes})
