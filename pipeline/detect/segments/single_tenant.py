"""Alone: whether what moves a side does so for one small tenant, whose bad minute is no failure of the service."""

import numpy as np

from pipeline.detect.layout import BlockView
from pipeline.detect.one_sided_tests import CrossingKey
from pipeline.detect.segments.segment_values import SegmentValue
from pipeline.detect.segments.segments import CARRIED_SHARE, TENANT, SegmentObservation, Segments

SMALL_TENANT = 0.1
"""Share of the records below which one tenant alone is not the service."""

ALONE_SHARE = 0.6
"""Share of what is too much in a block that is one tenant's, if it is alone: of the others a few are off by chance."""

CLEAR_EXCESS = 3.0
"""Records too many in a block from which on it is told by them whose they are; fewer may be anybody's, by chance."""


def is_single_small_tenant(
    segments: Segments, what: CrossingKey, view: BlockView, seen: SegmentObservation | None
) -> bool:
    """Whether what moves a side does so for one tenant alone, of which few records are.

    That tenant stands out by itself, and holds most of what is too much in the block: also of what records without a
    tenant, and tenants that are not watched, have too much. Where a block has hardly too much, and a walk crosses by
    what came before, it must stand out more than all others together.

    Parameters
    ----------
    what
        The signal, channel and direction that would page.
    seen
        What the block was to the segments.
    """
    side = segments.place(what)
    if side is None or seen is None or TENANT not in segments.dimensions:
        return False
    value = _most(segments, side, view, seen)
    if value is None or segments.evidence(value, side) < CARRIED_SHARE * segments.sides[side].threshold:
        return False
    return segments.dimensions[TENANT].share(value, int(view.block.panes[-1])) < SMALL_TENANT


def _most(segments: Segments, side: int, view: BlockView, seen: SegmentObservation) -> SegmentValue | None:
    """The tenant that moves a side, if it is one."""
    places = [place for place, (name, _) in enumerate(seen.values) if name == TENANT]
    columns = [segments.carried[side], segments.channels[side]]
    own = seen.sums.sums[:, places].sum(axis=0)[:, columns]
    everyone = view.grid.totals[-1].take(segments.used)[columns]
    watched = segments.sides[side]
    excess, all_excess = (
        (1.0 if watched.rising else -1.0) * (sums[..., 1] - watched.null_boundary * sums[..., 0])
        for sums in (own, everyone)
    )
    if places and all_excess >= CLEAR_EXCESS:
        most = int(np.argmax(excess))
        return seen.values[places[most]][1] if excess[most] >= ALONE_SHARE * all_excess else None
    shares = [(min(segments.evidence(value, side), watched.threshold), value) for value in segments.watched(TENANT)]
    highest, value = max(shares, key=lambda pair: pair[0], default=(0.0, None))
    return value if highest > sum(evidence for evidence, _ in shares) - highest else None
