"""Scoring of detection and diagnosis against ground truth, in the packages simulation, assistant, comparison and suites."""

from load.score.report import build_report, show_report
from load.score.runner import run_suites
from load.score.suites import LONG_SUITES, SUITES, ScorePlan

__all__ = ["LONG_SUITES", "SUITES", "ScorePlan", "build_report", "run_suites", "show_report"]
