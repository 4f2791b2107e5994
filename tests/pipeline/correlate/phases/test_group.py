"""Parents that lose all their subjects, to people or to another parent."""

import random

import pytest

from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import (
    MINUTE,
    SECOND,
    START,
    command,
    dead_letters,
    incidents,
    kafka,
    later,
    tick,
)
from tests.pipeline.correlate.outages import THREE, failing

ACTIONS = ("acknowledge", "assign", "classify", "note", "mitigate", "resolve", "reopen", "accept", "merge", "unmerge")


def by_id(outputs):
    return {incident.incident_id: incident for incident in incidents(outputs)}


def emptied():
    """A step with three incidents that a person removed from their parent, and that parent."""
    step = CorrelateStep(CorrelateSettings())
    everyone = by_id(step.step(kafka(THREE)))
    [parent] = [incident for incident in everyone.values() if incident.children]
    step.step(kafka([command("unmerge", child, command_id=f"c-{child}") for child in parent.children]))
    return step, parent


@pytest.mark.parametrize("action", ACTIONS)
def test_a_command_about_a_parent_without_subjects_is_refused_with_a_reason(action):
    step, parent = emptied()
    needed = {"severity": "P1", "assignee": "ben", "note": "seen", "into": parent.children[0]}
    [letter] = dead_letters(step.step(kafka([command(action, parent.incident_id, at=START + 5 * MINUTE, **needed)])))
    assert f"{parent.incident_id} no longer has any subjects" in letter.detail


def test_nothing_is_merged_into_a_parent_without_subjects():
    step, parent = emptied()
    into = command("merge", parent.children[0], into=parent.incident_id, at=START + 5 * MINUTE)
    [letter] = dead_letters(step.step(kafka([into])))
    assert "no longer has any subjects" in letter.detail


def test_a_parent_merged_into_another_one_is_dropped_first():
    # The first starts are on both sides of a full hour and arrive in the wrong order.
    first, second = (
        [failing(f"{name}{number}", after_s=after - 12 * 60) for number in range(3)]
        for name, after in (("late", 30), ("early", -30))
    )
    step = CorrelateStep(CorrelateSettings(incidents_max=8))
    published = by_id(step.step(kafka([*first, *second])))
    [empty_id] = [incident.incident_id for incident in published.values() if not incident.subject_count]
    step.step(kafka([failing("single", after_s=3 * 3_600)]))
    assert step.limits_hit["incidents_max"] == 1
    assert step._table.incidents.get(empty_id) is None


def test_a_parent_is_published_again_when_a_child_is_dropped():
    step = CorrelateStep(CorrelateSettings(incidents_max=4))
    [parent] = [incident for incident in by_id(step.step(kafka(THREE))).values() if incident.children]
    published = by_id(step.step(kafka([failing("single", after_s=3 * 3_600)])))
    assert published[parent.incident_id].subject_count == 2


def history(random_):
    """Drifts, ticks and commands of an outage. A command whose incident is given as a fraction of the published ids."""
    messages, at = [], START
    drifts = []
    for number in range(60):
        at += random_.randrange(40 if number < 30 else 400) * SECOND
        what = random_.random()
        if what < 0.4:
            signal, subject = random_.choice(("error", "latency_ms", "pii_detected")), random_.choice("abcdefgh")
            begun = (at - START) / SECOND - random_.randrange(100)
            drifts.append(failing(subject, signal=signal, after_s=begun, drift_id=f"d-{number}", now=0.3))
            messages.append(drifts[-1])
        elif what < 0.55 and drifts:
            first = random_.choice(drifts)
            messages.append(later(first, (at - first.detected_at) / SECOND, sequence=number))
        elif what < 0.65:
            messages.append(tick(at))
        else:
            messages.append((random_.choice((*ACTIONS, "unmerge", "unmerge")), at, random_.random(), random_.random()))
    return messages


def to_command(entry, number, published):
    """A command of a history about a published incident, most often a merged incident or a parent."""
    action, at, which, other = entry
    ids = sorted(published)
    ids += [one for one in ids if published[one].merged_into or ":" in published[one].subject] * 3
    needed = {"severity": "P2", "assignee": "ben", "note": "seen", "into": ids[int(other * len(ids))]}
    return command(action, ids[int(which * len(ids))], at=at, command_id=f"c-{number}", **needed)


def restarted(step, stored, settings):
    stored |= dict(step.changed())
    fresh = CorrelateStep(settings)
    assert list(fresh.restore([(key, value) for key, value in stored.items() if value is not None])) == []
    return fresh


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(25))
def test_any_commands_about_parents_are_safe_and_a_restart_changes_nothing(seed):
    random_ = random.Random(seed)
    entries, settings = history(random_), CorrelateSettings(incidents_max=random_.choice((6, 500)))
    steady, shaky, stored, published = CorrelateStep(settings), CorrelateStep(settings), {}, {}
    for number, entry in enumerate(entries):
        if isinstance(entry, tuple) and not published:
            continue
        [message] = kafka([to_command(entry, number, published) if isinstance(entry, tuple) else entry])
        outputs = steady.step([message])
        assert shaky.step([message]) == outputs
        shaky = restarted(shaky, stored, settings)
        published |= by_id(outputs)
