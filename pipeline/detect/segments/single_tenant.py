"""The tenant check, which finds tests that cross because of a single small tenant. This is not a service failure."""

import numpy as np

from pipeline.detect.layout import BlockView
from pipeline.detect.one_sided_tests import OneSidedTest
from pipeline.detect.segments.segment_values import SegmentValue
from pipeline.detect.segments.segments import AFFECTED_SHARE, TENANT, SegmentObservation, Segments

SMALL_TENANT_SHARE = 0.1
"""Share of the records below which a tenant counts as small."""

EXCESS_SHARE = 0.6
"""Minimum share of a block's excess at which a tenant counts as its only source. Other tenants can deviate by
chance."""

CLEAR_EXCESS = 3.0
"""Minimum excess of a block, in records, that can be attributed to a tenant. A lower excess can be due to chance."""


def is_single_small_tenant(
    segments: Segments, page: OneSidedTest, view: BlockView, observation: SegmentObservation | None
) -> bool:
    """Return whether a test that would page crosses because of a single small tenant.

    This is never so for a safety signal, because an attack comes from one tenant.

    The tenant must stand out on its own and account for most of the block's excess. The excess includes that of records
    without a tenant and of tenants that are not monitored. If the block has hardly any excess, the test crosses because
    of earlier records. The tenant must then have more evidence than all other tenants combined.

    Parameters
    ----------
    page
        The test.
    observation
        The block by segment value.
    """
    test = segments.find_test(page.crossing_key)
    if test is None or page.signal.layer == "safety" or observation is None or TENANT not in segments.dimensions:
        return False
    tenant = _find_single_tenant(segments, test, view, observation)
    if tenant is None or segments.evidence(tenant, test) < AFFECTED_SHARE * segments.tests[test].threshold:
        return False
    share = segments.dimensions[TENANT].traffic_share(tenant, int(view.block.panes[-1]))
    return share < SMALL_TENANT_SHARE


def _find_single_tenant(
    segments: Segments, test: int, view: BlockView, observation: SegmentObservation
) -> SegmentValue | None:
    indexes = [index for index, (dimension, _) in enumerate(observation.values) if dimension == TENANT]
    columns = [segments.presence_columns[test], segments.channel_columns[test]]
    tenant_sums = observation.sums.sums[:, indexes].sum(axis=0)[:, columns]
    all_sums = view.grid.prefix_sums[-1].take(segments.grid_columns)[columns]
    monitored = segments.tests[test]
    tenant_excess, all_excess = (
        (1.0 if monitored.rising else -1.0) * (sums[..., 1] - monitored.null_boundary * sums[..., 0])
        for sums in (tenant_sums, all_sums)
    )
    if indexes and all_excess >= CLEAR_EXCESS:
        largest = int(np.argmax(tenant_excess))
        has_most = tenant_excess[largest] >= EXCESS_SHARE * all_excess
        return observation.values[indexes[largest]][1] if has_most else None
    evidences = [
        (min(segments.evidence(value, test), monitored.threshold), value) for value in segments.monitored_values(TENANT)
    ]
    highest, tenant = max(evidences, key=lambda pair: pair[0], default=(0.0, None))
    return tenant if highest > sum(evidence for evidence, _ in evidences) - highest else None
