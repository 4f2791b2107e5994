"""What commands say about the longest age of a baseline."""

from rich.console import Console

from pipeline.detect import offline
from pipeline.detect.one_sided_tests import derive_tests
from pipeline.detect.settings import DetectSettings
from schemas.baseline import AgeCycles, Baseline, Channel, SignalBaseline
from topologies.baseline_wording import describe_changes
from topologies.baselines import render_explanation

START_MS, HOUR_MS = 1_795_489_920_000, 3_600_000
QUIET = Channel(mean=0.0, variance=0.0, autocorrelation_time=1.0, slice_deviation=0.0, count=20_000)


def age_baseline(cycles: AgeCycles) -> Baseline:
    knots = [float(knot) for knot in range(513)]
    signal = SignalBaseline(kind="age", count=20_000, knots=knots, channels={"overdue": QUIET}, ages=cycles)
    return Baseline(
        subject="bot",
        baseline_version="v",
        source="file",
        learned_from=START_MS,
        learned_to=START_MS + 24 * HOUR_MS,
        records=20_000,
        signals={"index_age_s": signal},
    )


def described(cycles: AgeCycles, tier: str) -> str:
    baseline = age_baseline(cycles)
    changes = [change for change in offline.smallest_changes(baseline, DetectSettings()) if change.tier == tier]
    return describe_changes(baseline.signals["index_age_s"], changes)


def test_a_baseline_shows_the_limit_of_an_age_or_the_reason_why_there_is_none():
    known, unknown = AgeCycles(longest=86_400, resets=1, mean=86_400), AgeCycles(longest=86_400, resets=0)
    assert described(known, "ticket") == "above 24.3 h"
    assert described(known, "page") == (
        "longest age: not testable, a page needs at least 7 resets, and its baseline has 1"
    )
    assert described(unknown, "ticket") == (
        "longest age: not testable, it was never reset while the baseline was learned, so its longest age is not known"
    )


def test_an_explanation_shows_the_longest_age_and_the_limit():
    baseline = age_baseline(AgeCycles(longest=86_400, resets=1, mean=86_400))
    tests, not_testable = derive_tests(baseline, DetectSettings())
    explained = offline.Explanation("bot", baseline, [offline.TestTrace(test) for test in tests], not_testable)
    console = Console(width=200, color_system=None)
    with console.capture() as capture:
        console.print(render_explanation(explained, ("index_age_s",)))
    text = " ".join(capture.get().split())
    assert "index_age_s overdue up longest 24.0 h, to 24.3 h" in text
    assert (
        "index_age_s overdue up is not testable (page): a page needs at least 7 resets, and its baseline has 1" in text
    )
