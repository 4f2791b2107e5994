"""The sentence of a finding, for the person who reads the alert."""

from pipeline.detect.findings.finding import Finding
from schemas.timestamp import clock_time

DEMOTION = "it pages often: a ticket and a new baseline are proposed"

_VERBS = {"up": "rose", "down": "fell"}


def describe_finding(finding: Finding, mean_before: float, mean: float, carried_by: str = "") -> str:
    """Return the sentence of a finding.

    Parameters
    ----------
    finding
        The finding without its sentence.
    mean_before, mean
        Mean of the channel in the baseline and now: the share of records in a tail, or the spread of ranks.
    carried_by
        Segments that carry the drift, such as ``all in prompt=v42``.

    Returns
    -------
    str
        Such as ``refused rose from 1.0 % to 9.1 % (odds x9.9) since 03:12:00Z, 412 records; page: evidence 28.3 of 28``.
    """
    if finding.state == "recovered":
        return f"{_name(finding)} came back to {_values(finding)} after {_lasting(finding)}"
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
    """Return the sentence of a drift that ends because its segment sends no more records."""
    return f"{_name(finding)} has ended after {_lasting(finding)}: no records of {finding.segment} arrive any more"


def number(value: float, finding: Finding) -> str:
    """Return a value in the unit of a finding: a rate in percent, other values with three significant digits."""
    if finding.signal.kind == "rate":
        return percent(value)
    size = abs(value)
    digits = 0 if size >= 100 or size == 0 else 1 if size >= 10 else 2 if size >= 1 else 3
    return f"{value:,.{digits}f} {finding.signal.unit}".rstrip()


def percent(share: float) -> str:
    """Return a share in percent, with enough digits to tell it from 0.

    >>> percent(0.0914), percent(0.00021), percent(0.0)
    ('9.1 %', '0.021 %', '0 %')
    """
    if share in (0.0, 1.0):
        return f"{share * 100:.0f} %"
    return f"{share * 100:.1f} %" if share >= 0.001 else f"{share * 100:.2g} %"


def _name(finding: Finding) -> str:
    return f"{finding.signal.name} in {finding.segment}" if finding.segment else finding.signal.name


def _values(finding: Finding) -> str:
    return f"{number(finding.now, finding)} (normal {number(finding.normal, finding)})"


def _describe_change(finding: Finding, mean_before: float, mean: float, *, with_verb: bool = False) -> str:
    normal, now = number(finding.normal, finding), number(finding.now, finding)
    verb = f"{_VERBS[finding.side]} " if with_verb else ""
    if finding.channel == "rate":
        return f"{verb}from {normal} to {now} (odds x{finding.effect:.3g})"
    if finding.channel == "location":
        return f"{verb}from {normal} to {now} (rank {finding.effect:+.2f})"
    if finding.channel == "dispersion":
        lead = "hardly varies: " if with_verb else ""
        return f"{lead}spread of ranks {mean_before:.2f} to {mean:.2f}, typically {normal} to {now}"
    end = "high" if finding.channel == "high_tail" else "low"
    lead = "is extreme more often: " if with_verb else ""
    return (
        f"{lead}unusually {end} in {percent(mean_before)} to {percent(mean)} of records (odds x{finding.effect:.3g}), "
        f"typically {normal} to {now}"
    )


def _lasting(finding: Finding) -> str:
    seconds = max(0, finding.updated_at - finding.started_at) // 1000
    if seconds < 120:
        return f"{seconds} s"
    return f"{seconds // 60} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
