"""The worked example of docs/how-detection-works.md: refusals rise from 1 % to 10 % for three minutes.

``python -m tests.pipeline.detect.worked_example`` writes docs/how-detection-works.svg and the tables of the page.
"""

import re
from functools import cache
from io import StringIO
from pathlib import Path
from statistics import median
from typing import NamedTuple

import numpy as np
from scipy.special import betaincinv

from pipeline.detect.monitor import Monitor
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.worlds import START_MS, blocks, learned

DOCS = Path(__file__).parents[3] / "docs"
PAGE = DOCS / "how-detection-works.md"
PICTURE = DOCS / "how-detection-works.svg"

SETTINGS = DetectSettings()
PER_S = 10
DAY_S = 86_400
BASELINE_ROWS = DAY_S * PER_S
USUAL, FAILING = 0.01, 0.10
FAILS_AT_S, ENDS_AT_S, LASTS_S = 120, 300, 600
SEEDS = range(1, 22)
"""The first seed is for the page and the chart; the others are only for the median."""

BLOCK_ROWS = 4 * PER_S
"""Four seconds, the length of the step's blocks at ten records per second."""

SERIES_S = 10


class Run(NamedTuple):
    """A seeded stream and its findings. ``looks`` holds, by tier, (seconds, statistic) per block."""

    refused: np.ndarray
    findings: list
    looks: dict[str, list[tuple[float, float]]]


@cache
def baseline():
    """A day of normal traffic."""
    refused = np.random.default_rng(0).random(BASELINE_ROWS) < USUAL
    return learned({"refused": refused.astype(float)}, SETTINGS, per_s=PER_S)


@cache
def one_sided_tests():
    """The one-sided tests by tier."""
    return {test.tier: test for test in Monitor(baseline(), SETTINGS).tests}


def live_blocks(refused):
    """A stream that follows the baseline, in the step's blocks."""
    return blocks({"refused": refused}, per_s=PER_S, size=BLOCK_ROWS, first_row=BASELINE_ROWS)


def seconds(time_ms):
    """Since the stream began."""
    return (time_ms - START_MS) / 1000 - DAY_S


def observed(refused):
    """The run of a stream that follows the baseline."""
    monitor = Monitor(baseline(), SETTINGS)
    findings, looks = [], {tier: [] for tier in one_sided_tests()}
    for block in live_blocks(refused):
        findings += monitor.observe(block)
        ends_at = seconds(int(block.times_ms[-1]))
        for test, statistics in zip(monitor.tests, monitor.bank.test_statistics, strict=True):
            looks[test.tier].append((ends_at, float(statistics.max())))
    return Run(refused, findings, looks)


@cache
def run(seed=SEEDS[0]):
    """Two minutes as usual, three at the failing rate, five as usual."""
    random = np.random.default_rng(seed)
    rates = np.full(LASTS_S * PER_S, USUAL)
    rates[FAILS_AT_S * PER_S : ENDS_AT_S * PER_S] = FAILING
    return observed((random.random(rates.size) < rates).astype(float))


def finding_in_state(tier, state, seed=SEEDS[0]):
    """The finding of a tier in a state."""
    return next(finding for finding in run(seed).findings if (finding.tier, finding.state) == (tier, state))


def records_to_page(seed):
    """The records from the first record of the failure to the record that pages."""
    return round((seconds(finding_in_state("page", "firing", seed).detected_at) - FAILS_AT_S) * PER_S) + 1


def _odds_times(mean, ratio):
    return ratio * mean / (1 - mean + ratio * mean)


def band():
    """By tier, the three candidates for the upper null boundary, by the formulas of the page."""
    channel = baseline().signals["refused"].channels["rate"]
    mean, count = channel.mean, channel.count / channel.autocorrelation_time
    error = 1 / (1000 * len(one_sided_tests()))
    limit = float(betaincinv(mean * count + 1, count - mean * count, 1 - error))
    spread = mean + max(3 * channel.slice_deviation, 3 * 0.10 * min(mean, 1 - mean))
    odds = {"page": SETTINGS.page_rate_odds, "ticket": SETTINGS.ticket_rate_odds}
    return {tier: (limit, spread, _odds_times(mean, odds[tier])) for tier in ("page", "ticket")}


def budgets():
    """By tier, updates per second and false alarms per second, by the formulas of the page."""
    per_stream = baseline().signals["refused"].count / DAY_S
    fleet = SETTINGS.fleet_subjects
    return {
        "page": (per_stream * (1 + 2) * fleet, SETTINGS.false_pages_per_year / (365.25 * DAY_S)),
        "ticket": (per_stream * fleet, SETTINGS.false_tickets_per_week / (7 * DAY_S)),
    }


def bets():
    """By bet of the page test: the guess, the bet, and the evidence of a refused and of another record."""
    test = one_sided_tests()["page"]
    null = test.null_boundary
    guesses = null + test.stakes * null * (1 - null)
    return guesses, test.stakes, np.log1p(test.stakes * (1 - null)), np.log1p(-test.stakes * null)


def _percent(share, digits=2):
    return f"{100 * share:.{digits}f} %"


def tables():
    """The rows of the tables of the page, by the first header."""
    channel = baseline().signals["refused"].channels["rate"]
    rows = {"Null boundary": [], "Bet": [], "Run": _events(), "Seeds": _seeds()}
    rows["Baseline"] = [
        ("records", f"{channel.count:,}"),
        ("refusal rate `m0`", _percent(channel.mean, 3)),
        ("autocorrelation time `τ`", f"{channel.autocorrelation_time:g}"),
        ("deviation between slices `s`", f"{channel.slice_deviation:g}"),
        ("one-sided tests", f"{len(one_sided_tests())}"),
    ]
    by_tier = band()
    for index, name in enumerate(("confidence limit", "spread (here the day floor)", "tolerance")):
        rows["Null boundary"].append((name, *(_percent(by_tier[tier][index], 3) for tier in ("page", "ticket"))))
    largest = (_percent(one_sided_tests()[tier].null_boundary, 3) for tier in ("page", "ticket"))
    rows["Null boundary"].append(("**upper null boundary `b`**", *(f"**{boundary}**" for boundary in largest)))
    budget = budgets()
    rows["Threshold"] = [
        ("updates per second `u`", *(f"{budget[tier][0]:g}" for tier in ("page", "ticket"))),
        ("`ln(8 u / f)`", *(f"{np.log(8 * budget[tier][0] / budget[tier][1]):.2f}" for tier in ("page", "ticket"))),
        ("**threshold `h`**", *(f"**{one_sided_tests()[tier].threshold:g}**" for tier in ("page", "ticket"))),
    ]
    means = FAILING * bets()[2] + (1 - FAILING) * bets()[3]
    for number, (guess, bet, refused, other, mean) in enumerate(zip(*bets(), means, strict=True), start=1):
        records = f"{one_sided_tests()['page'].threshold / mean:.0f}" if mean > 0 else "never"
        rows["Bet"].append(
            (f"{number}", _percent(guess), f"{bet:.2f}", f"{refused:+.3f}", f"{other:+.4f}", f"{mean:+.4f}", records)
        )
    return rows


def _events():
    rows = [("failure begins", f"{FAILS_AT_S} s", "", "")]
    for tier in ("ticket", "page"):
        fired = finding_in_state(tier, "firing")
        at = f"{seconds(fired.detected_at):.1f} s"
        statistic = f"{fired.evidence:.2f} of {fired.threshold:g}"
        rows.append((f"{tier} fires", at, f"{fired.records}, of which {_percent(fired.now, 1)} refused", statistic))
    rows.append(
        (
            "start as the page test estimates it",
            f"{seconds(finding_in_state('page', 'firing').started_at):.1f} s",
            "",
            "",
        )
    )
    rows.append(("failure ends", f"{ENDS_AT_S} s", "", ""))
    for tier in ("page", "ticket"):
        back = finding_in_state(tier, "recovered")
        statistic = f"{back.evidence:.2f} of {back.threshold:g}"
        rows.append((f"{tier} recovers", f"{seconds(back.updated_at):.1f} s", f"{back.records}", statistic))
    return rows


def _seeds():
    records = [records_to_page(seed) for seed in SEEDS]
    return [
        ("the run above", f"{records[0]}"),
        (f"median of {len(records)} runs", f"{median(records)}"),
        ("fewest and most", f"{min(records)}, {max(records)}"),
    ]


def page_tables():
    """The rows of the tables as written on the page, by the first header."""
    return {head: [_cells(row) for row in rows] for head, _, rows in _page_tables(PAGE.read_text(encoding="utf-8"))}


def page_with_tables():
    """The page with the tables of the example as the code computes them."""
    text = PAGE.read_text(encoding="utf-8")
    computed = tables()
    for head, table, rows in _page_tables(text):
        if head in computed:
            top = table.splitlines()[: len(table.splitlines()) - len(rows)]
            lines = [
                *top,
                *("|" + "|".join(f" {cell} " if cell else " " for cell in cells) + "|" for cells in computed[head]),
            ]
            text = text.replace(table, "\n".join(lines) + "\n")
    return text


def _page_tables(text):
    """The first header, the text and the rows of each table."""
    for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = table.splitlines()
        yield _cells(head)[0], table, rows


def _cells(line):
    return tuple(cell.strip() for cell in line.strip("|").split("|"))


_STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "driftwire",
    "font.family": ["DejaVu Sans", "sans-serif"],
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#8a8a8a",
}
_LINE, _NORMAL, _BOUNDARY, _BACK = "#222222", "#8a8a8a", "#0072b2", "#009e73"
_FAILS, _DETECTED = "#d55e00", "#b8860b"
_NOTHING = {"Date": None, "Creator": None, "Format": None, "Type": None}


def picture():
    """The picture of the run, as SVG."""
    from matplotlib import style  # noqa: PLC0415 - slow to import, and only the picture needs it
    from matplotlib.figure import Figure  # noqa: PLC0415

    with style.context(["default", _STYLE], after_reset=True):
        figure = Figure(figsize=(9.4, 5.4))
        rate, statistic = figure.subplots(2, 1, sharex=True)
        figure.subplots_adjust(left=0.07, right=0.98, top=0.86, bottom=0.09, hspace=0.22)
        _draw_rate(rate)
        _draw_statistic(statistic)
        _draw_marks(rate, statistic)
        statistic.set_xlim(0, LASTS_S)
        statistic.set_xticks(range(0, LASTS_S + 1, 60))
        statistic.set_xlabel("seconds of the run", fontsize=8, color="#555555", loc="right")
        written = StringIO()
        figure.savefig(written, format="svg", metadata=_NOTHING)
    svg = written.getvalue()
    head, _, rest = svg[svg.index("<svg") :].partition(">")
    title = "A refusal rate rises from 1 % to 10 %, and the page test crosses its threshold"
    return f'{head} role="img">\n <title>{title}</title>{rest}'


def _draw_rate(axes):
    shares = run().refused.reshape(-1, SERIES_S * PER_S).mean(axis=1) * 100
    axes.axhline(100 * one_sided_tests()["page"].mean, color=_NORMAL, ls=(0, (4, 3)), lw=1.2, label="baseline")
    boundary = 100 * one_sided_tests()["page"].null_boundary
    axes.axhline(boundary, color=_BOUNDARY, ls=(0, (1, 1)), lw=1.4, label=f"null boundary, {boundary:.2f} %")
    axes.stairs(shares, np.arange(shares.size + 1) * SERIES_S, color=_LINE, lw=1.6, label=f"per {SERIES_S} s")
    axes.set_ylim(0, 1.12 * shares.max())
    _head(axes, "refusal rate, %")


def _draw_statistic(axes):
    fired, back = finding_in_state("page", "firing"), finding_in_state("page", "recovered")
    fired_at, back_at = seconds(fired.detected_at), seconds(back.updated_at)
    looks = run().looks["page"]
    before = [(0.0, 0.0), *(look for look in looks if look[0] < fired_at), (fired_at, fired.evidence)]
    after = [(fired_at, 0.0), *(look for look in looks if fired_at < look[0] < back_at), (back_at, back.evidence)]
    again = [(back_at, 0.0), *(look for look in looks if look[0] > back_at)]
    for path, colour, label in (
        (before, _LINE, "test statistic"),
        (after, _BACK, "test statistic of the recovery"),
        (again, _LINE, None),
    ):
        axes.plot(*zip(*path, strict=True), color=colour, lw=1.6, label=label)
    axes.plot([0, fired_at], [fired.threshold] * 2, color=_LINE, ls=(0, (1, 1)), lw=1.2)
    axes.plot([fired_at, back_at], [back.threshold] * 2, color=_BACK, ls=(0, (1, 1)), lw=1.2)
    axes.annotate(f"threshold {fired.threshold:g}", (2, fired.threshold + 0.6), fontsize=8, color=_LINE)
    axes.annotate(f"threshold {back.threshold:g}", (fired_at + 6, back.threshold + 0.6), fontsize=8, color=_BACK)
    axes.set_ylim(0, 1.12 * fired.evidence)
    _head(axes, "strongest of the eight bets of the page test")


def _draw_marks(rate, statistic):
    fired, back = (
        seconds(finding_in_state("page", "firing").detected_at),
        seconds(finding_in_state("page", "recovered").updated_at),
    )
    for at, label, colour, level in (
        (FAILS_AT_S, "failure begins", _FAILS, 1),
        (fired, f"page, after {fired - FAILS_AT_S:.0f} s", _DETECTED, 0),
        (ENDS_AT_S, "failure ends", _FAILS, 1),
        (back, f"recovered, after {back - ENDS_AT_S:.0f} s", _BACK, 0),
    ):
        for axes in (rate, statistic):
            axes.axvline(at, color=colour, lw=1.3)
        position = (at, 1.17 + 0.13 * level)
        rate.annotate(
            label, position, (4, 0), xycoords=rate.get_xaxis_transform(), textcoords="offset points", color=colour
        )
        top = {"transform": rate.get_xaxis_transform(), "clip_on": False}
        rate.plot([at, at], [1.0, position[1] + 0.08], color=colour, lw=1.3, **top)
    for axes in (rate, statistic):
        axes.axvspan(FAILS_AT_S, ENDS_AT_S, color=_FAILS, alpha=0.08, lw=0)


def _head(axes, title):
    axes.set_title(title, loc="left", fontsize=10, fontweight="bold", color=_LINE)
    axes.legend(loc="upper right", fontsize=8, frameon=False)
    axes.grid(axis="y", color="#e4e4e4", lw=0.6)
    axes.set_axisbelow(True)


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(page_with_tables(), encoding="utf-8")
