"""The sentence: a finding in words, for the person who reads the alert."""

from pipeline.detect.findings.finding import Finding
from pipeline.wording import duration, percent, quantity
from schemas.timestamp import clock_time

DEMOTION = "pages often: proposed for a ticket and a new baseline"

_HIGHER = {"up": "rose", "down": "fell"}


def describe_finding(finding: Finding, usual: float, mean: float, where: str = "") -> str:
    """Say what was found.

    Parameters
    ----------
    finding
        Everything but the words.
    usual, mean
        The channel's mean in the baseline and now: the share of records in a tail, the spread of ranks.
    where
        Which segments carry it, as ``all in prompt=v42``.

    Returns
    -------
    str
        Such as ``refused rose from 1.0 % to 9.1 % (odds x9.9) since 03:12:00Z, 412 records; page: evidence 28.3 of 28``.
    """
    since = clock_time(finding.started_at)
    weighed = f"evidence {finding.evidence:.1f} of {finding.threshold:g}"
    if finding.detector == "adwin":
        weighed = "ADWIN saw the mean change"
    if finding.state == "recovered":
        return f"{_name(finding)} came back to {_place(finding)} after {_since_words(finding)}"
    records = f"{finding.records:,} records" + (f", {where}" if where else "")
    verdict = finding.tier + (f"; {DEMOTION}" if finding.demote else "")
    if finding.state == "evidence":
        return f"{_name(finding)} is still off: {_change(finding, usual, mean)} since {since}, {records}; {verdict}"
    said = f"{_change(finding, usual, mean, verb=True)} since {since}, {records}; {finding.tier}: {weighed}"
    return said + (f"; {DEMOTION}" if finding.demote else "")


def describe_end(finding: Finding) -> str:
    """Say that a drift is over because nobody sends records of its segment any more."""
    return f"{_name(finding)} is over: no records of {finding.segment} come any more, after {_since_words(finding)}"


def number(value: float, finding: Finding) -> str:
    """Format a number in the unit of the finding's signal."""
    return quantity(value, finding.signal.unit, "rate" if finding.signal.kind == "rate" else finding.channel)


def _name(finding: Finding) -> str:
    return f"{finding.signal.name} in {finding.segment}" if finding.segment else finding.signal.name


def _place(finding: Finding) -> str:
    return f"{number(finding.now, finding)} (normal {number(finding.normal, finding)})"


def _change(finding: Finding, usual: float, mean: float, *, verb: bool = False) -> str:
    normal, now = number(finding.normal, finding), number(finding.now, finding)
    name = f"{_name(finding)} " if verb else ""
    if finding.channel == "rate":
        moved = f"{_HIGHER[finding.side]} " if verb else ""
        return f"{name}{moved}from {normal} to {now} (odds x{finding.effect:.3g})"
    if finding.channel == "location":
        moved = f"{_HIGHER[finding.side]} " if verb else ""
        return f"{name}{moved}from {normal} to {now} (rank {finding.effect:+.2f})"
    if finding.channel == "dispersion":
        lead = f"{name}hardly varies: " if verb else ""
        return f"{lead}spread of ranks {usual:.2f} to {mean:.2f}, typically {normal} to {now}"
    end = "high" if finding.channel == "high_tail" else "low"
    lead = f"{name}is extreme more often: " if verb else ""
    return (
        f"{lead}unusually {end} in {percent(usual)} to {percent(mean)} of records (odds x{finding.effect:.3g}), "
        f"typically {normal} to {now}"
    )


def _since_words(finding: Finding) -> str:
    return duration(max(0, finding.updated_at - finding.started_at) / 1000)
