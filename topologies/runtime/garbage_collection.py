"""Times of Python's garbage collection in a worker.

Most objects of a worker are freed by their reference counts. Each collection visits all young objects, and sometimes all
objects of the process, in the middle of a batch. A worker therefore collects between batches, and never visits the
objects of its modules.
"""

import contextlib
import gc
from collections.abc import Iterator


def freeze_modules() -> None:
    """Exclude all existing objects from collections. Call it once the modules are imported."""
    gc.collect()
    gc.freeze()


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Postpone collections to the end of the block, which must not wait for anything."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
