"""Describe a finding in one sentence for the person who reads the alert."""

from pipeline.detect.findings.finding import Finding
from pipeline.wording import duration, percent, quantity
from schemas.timestamp import clock_time

DEMOTION = "it pages often: a ticket and a new baseline are proposed"

_VERBS = {"up": "rose", "down": "fell"}


def describe_finding(finding: Finding, mean_before: float, mean: float, carried_by: str = "") -> str:
    """Describe a finding in one sentence.

    Parameters
    ----------
    finding
        The finding, whose sentence is still empty.
    mean_before, mean
        Mean of the channel in the baseline, and current mean: the share of records in a tail, or the spread of ranks.
    carried_by
        Description of the segments that carry the drift, such as ``all in prompt=v42``.

    Returns
    -------
    str
        Such as ``refused rose from 1.0 % to 9.1 % (odds x9.9) since 03:12:00Z, 412 records; page: evidence 28.3 of 28``
    """
    if finding.state == "recovered":
        return f"{_name(finding)} returned to {_values(finding)} after {_length(finding)}"
    records = f"since {clock_time(finding.started_at)}, {finding.records:,} records"
    if carried_by:
        records = f"{records}, {carried_by}"
    demotion = f"; {DEMOTION}" if finding.demote else ""
    if finding.state == "evidence":
        change = _describe_change(finding, mean_before, mean)
        return f"{_name(finding)} is still outside its baseline: {change} {records}; {finding.tier}{demotion}"
    change = _describe_change(finding, mean_before, mean, with_verb=True)
    evidence = f"evidence {finding.evidence:.1f} of {finding.threshold:g}"
    if finding.detector == "adwin":
        evidence = "ADWIN detected a change of the mean"
    return f"{_name(finding)} {change} {records}; {finding.tier}: {evidence}{demotion}"


def describe_gone_segment(finding: Finding) -> str:
    """Describe a drift that ends because its segment no longer sends records."""
    return f"{_name(finding)} has ended after {_length(finding)}: records of {finding.segment} no longer arrive"


def number(value: float, finding: Finding) -> str:
    """Format a number in the unit of the finding's signal."""
    return quantity(value, finding.signal.unit, "rate" if finding.signal.kind == "rate" else finding.channel)


def _name(finding: Finding) -> str:
    return f"{finding.signal.name} in {finding.segment}" if finding.segment else finding.signal.name


def _values(finding: Finding) -> str:
    normal = "longest known" if finding.channel == "overdue" else "normal"
    return f"{number(finding.now, finding)} ({normal} {number(finding.normal, finding)})"


def _describe_change(finding: Finding, mean_before: float, mean: float, *, with_verb: bool = False) -> str:
    normal, now = number(finding.normal, finding), number(finding.now, finding)
    verb = f"{_VERBS[finding.side]} " if with_verb else ""
    if finding.channel == "rate":
        return f"{verb}from {normal} to {now} (odds x{finding.effect:.3g})"
    if finding.channel == "location":
        return f"{verb}from {normal} to {now} (rank {finding.effect:+.2f})"
    if finding.channel == "overdue":
        return f"{'is overdue: ' if with_verb else ''}{now}, longest known {normal},"
    if finding.channel == "dispersion":
        lead = "hardly varies: " if with_verb else ""
        return f"{lead}spread of ranks {mean_before:.2f} to {mean:.2f}, typically {normal} to {now}"
    end = "high" if finding.channel == "high_tail" else "low"
    lead = "is extreme more often: " if with_verb else ""
    return (
        f"{lead}unusually {end} in {percent(mean_before)} to {percent(mean)} of records (odds x{finding.effect:.3g}), "
        f"typically {normal} to {now}"
    )


def _length(finding: Finding) -> str:
    return duration(max(0, finding.updated_at - finding.started_at) / 1000)
