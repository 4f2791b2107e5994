"""Services that learn live from nothing and renew their baselines every day for four weeks, and the suite that scores them.

The package itself is the suite.
"""

from load.score.renewal.renewal_suite import report, show, tasks

__all__ = ["report", "show", "tasks"]
