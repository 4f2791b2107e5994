"""The limit of an age, and when its baseline knows enough for a ticket and for a page."""

import pytest

from pipeline.detect.one_sided_tests.one_sided_test import derive_tests
from pipeline.detect.one_sided_tests.overdue import find_overdue_obstacle, overdue_limit
from pipeline.detect.settings import DetectSettings
from pipeline.detect.signals.catalogue import SmallestEffect
from schemas.baseline import AgeCycles, Baseline, Channel, SignalBaseline
from tests.pipeline.detect.worlds import START_MS

HOUR_S, DAY_S = 3600.0, 86_400.0
GROWN = "it was never reset while the baseline was learned, so its longest age is not known"


def age_baseline(cycles, *, count=17_280):
    quiet = Channel(mean=0.0, variance=0.0, autocorrelation_time=1.0, slice_deviation=0.0, count=count)
    signal = SignalBaseline(
        kind="age",
        count=count,
        mean=1.0,
        knots=[float(knot) for knot in range(513)],
        channels={"overdue": quiet},
        ages=cycles,
    )
    return Baseline(
        subject="bot",
        baseline_version="v",
        source="live",
        learned_from=START_MS,
        learned_to=START_MS + 86_400_000,
        records=count,
        signals={"index_age_s": signal},
    )


@pytest.mark.parametrize(
    ("longest", "limit"),
    [
        (0.0, 60.0),  # the smallest tolerance
        (90.0, 150.0),
        (180.0, 240.0),  # a third of it is the smallest tolerance
        (900.0, 1200.0),  # a third
        (HOUR_S, HOUR_S + 1200.0),  # a third of it is the largest tolerance
        (DAY_S, DAY_S + 1200.0),  # 24 h 20 min
        (7 * DAY_S, 7 * DAY_S + 1200.0),
    ],
)
def test_the_limit_is_the_longest_known_age_and_a_tolerance(longest, limit):
    assert overdue_limit(AgeCycles(longest=longest, resets=1)) == pytest.approx(limit)


@pytest.mark.parametrize(
    ("resets", "deviation", "pages"),
    [
        (6, 1.0, False),
        (7, 1.0, True),
        # Seven cycles: t(6) at 0.9999 is 8.0248, so the next one can be 8.0248 * sqrt(8/7) = 8.579 deviations above the
        # mean. The limit is 60 s of longest minus mean, and 1200 s of tolerance, above it: 1260 / 8.579 = 146.87 s.
        (7, 146.8, True),
        (7, 147.0, False),
        # 28 cycles: t(27) is 4.2987, times sqrt(29/28) = 4.3748: 1260 / 4.3748 = 288.0 s.
        (28, 287.5, True),
        (28, 288.5, False),
    ],
)
def test_a_page_needs_a_week_of_nights_whose_spread_is_small(resets, deviation, pages):
    cycles = AgeCycles(longest=DAY_S, resets=resets, mean=DAY_S - 60.0, deviation=deviation)
    assert (find_overdue_obstacle(cycles, "page") is None) == pages
    assert find_overdue_obstacle(cycles, "ticket") is None


def test_an_age_that_was_never_reset_is_not_testable_in_words():
    tests, not_testable = derive_tests(age_baseline(AgeCycles(longest=DAY_S, resets=0)), DetectSettings())
    assert tests == []
    assert [(test.key, test.reason) for test in not_testable] == [
        (("index_age_s", "overdue", "up", tier), GROWN) for tier in ("page", "ticket")
    ]


def test_an_age_with_one_known_cycle_raises_a_ticket_and_says_why_it_does_not_page():
    [ticket], [page] = derive_tests(age_baseline(AgeCycles(longest=DAY_S, resets=1, mean=DAY_S)), DetectSettings())
    assert ticket.key == ("index_age_s", "overdue", "up", "ticket")
    assert page.reason == "a page needs at least 7 resets, and its baseline has 1"


def test_the_boundary_is_that_of_an_event_that_was_never_seen():
    cycles = AgeCycles(longest=DAY_S, resets=28, mean=DAY_S, deviation=30.0)
    tests, not_testable = derive_tests(age_baseline(cycles, count=10_000), DetectSettings())
    assert ([test.tier for test in tests], not_testable) == (["page", "ticket"], [])
    # No other test counts: 1 - 0.001 ** (1 / 10,000)
    assert [test.null_boundary for test in tests] == [pytest.approx(6.9052e-4, rel=1e-4)] * 2
    assert {test.weight for test in tests} == {1.0}


def test_the_tests_of_other_signals_do_not_depend_on_ages():
    baseline = age_baseline(AgeCycles(longest=DAY_S, resets=28, mean=DAY_S, deviation=30.0))
    rate = Channel(mean=0.01, variance=0.0099, autocorrelation_time=1.0, slice_deviation=0.0, count=17_280)
    refused = SignalBaseline(kind="rate", count=17_280, mean=0.01, channels={"rate": rate})
    with_age = baseline.model_copy(update={"signals": baseline.signals | {"refused": refused}})
    without = baseline.model_copy(update={"signals": {"refused": refused}})

    def numbers(each):
        return [
            (test.tier, test.null_boundary, test.threshold, test.stakes.tolist())
            for test in derive_tests(each, DetectSettings())[0]
            if test.signal.name == "refused"
        ]

    assert numbers(with_age) == numbers(without)


def test_a_baseline_of_an_earlier_version_has_no_such_test():
    tests, not_testable = derive_tests(age_baseline(None), DetectSettings())
    assert (tests, not_testable) == ([], [])


def test_the_tolerance_is_at_least_the_smallest_change_that_matters():
    cycles = AgeCycles(longest=86_400, resets=1)
    limits = [
        overdue_limit(cycles, SmallestEffect(kind, size))
        for kind, size in [("smallest_change", 7200), ("smallest_change", 60), ("smallest_relative_change", 0.5)]
    ]
    assert limits == [93_600, 87_600, 129_600]
    assert overdue_limit(cycles, SmallestEffect("smallest_odds_ratio", 9)) == 87_600
