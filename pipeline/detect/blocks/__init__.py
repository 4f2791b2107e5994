"""From admitted records to a block of columns, with the signals that are derived record by record.

May import intake and signals.
"""

from pipeline.detect.blocks.buffer import Buffer
from pipeline.detect.blocks.columns import Columns
from pipeline.detect.blocks.derived import Derived
from pipeline.detect.blocks.rows import Rows, loaded

__all__ = ["Buffer", "Columns", "Derived", "Rows", "loaded"]
