"""Scoring of detection and diagnosis against ground truth, in the packages simulation, comparison and suites."""

from load.score.report import build_report, show_report
from load.score.runner import run_suites
from load.score.suites import SUITES, ScorePlan

__all__ = ["SUITES", "ScorePlan", "build_report", "run_suites", "show_report"]
