"""A topology of its own for one run: started, fed, waited for, collected.

May import no other room of load.
"""

from load.stage.collect import Outcome, collect, places
from load.stage.progress import progress_bar, step_bars
from load.stage.settle import read_offsets, wait_until_settled
from load.stage.stage import plainly, stage, unless_it_fails

__all__ = [
    "Outcome",
    "collect",
    "places",
    "plainly",
    "progress_bar",
    "read_offsets",
    "stage",
    "step_bars",
    "unless_it_fails",
    "wait_until_settled",
]
