"""The page of a backtest: one HTML file with everything in it, without scripts and without requests.

This package may import the console and the wording of baselines.
"""

from topologies.backtest_page.page import write_page
from topologies.backtest_page.summary import incidents_json, render_summary

__all__ = ["incidents_json", "render_summary", "write_page"]
