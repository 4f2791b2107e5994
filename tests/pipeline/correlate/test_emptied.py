"""Parents that lose all of their subjects, by people or to another parent: nothing breaks, and nobody is asked about them."""

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


def known(outputs):
    return {each.incident_id: each for each in incidents(outputs)}


def emptied():
    """A step with three incidents that a person took out of their parent, and the id of that."""
    step = CorrelateStep(CorrelateSettings())
    everyone = known(step.step(kafka(THREE)))
    [parent] = [each for each in everyone.values() if each.children]
    step.step(kafka([command("unmerge", each, command_id=f"c-{each}") for each in parent.children]))
    return step, parent


@pytest.mark.parametrize("action", ACTIONS)
def test_a_command_about_a_parent_without_subjects_is_refused_and_says_why(action):
    step, parent = emptied()
    needed = {"severity": "P1", "assignee": "ben", "note": "seen", "into": parent.children[0]}
    [letter] = dead_letters(step.step(kafka([command(action, parent.incident_id, at=START + 5 * MINUTE, **needed)])))
    assert f"{parent.incident_id} has no subjects any more" in letter.detail


def test_nothing_is_merged_into_a_parent_without_subjects():
    step, parent = emptied()
    into = command("merge", parent.children[0], into=parent.incident_id, at=START + 5 * MINUTE)
    [letter] = dead_letters(step.step(kafka([into])))
    assert "has no subjects any more" in letter.detail


def test_a_parent_that_another_one_took_over_makes_room_when_there_are_too_many():
    # The first starts lie on both sides of a full hour and are seen in the wrong order.
    first, second = (
        [failing(f"{name}{number}", after_s=after - 12 * 60) for number in range(3)]
        for name, after in (("late", 30), ("early", -30))
    )
    step = CorrelateStep(CorrelateSettings(incidents_max=8))
    told = known(step.step(kafka([*first, *second])))
    [gone] = [each.incident_id for each in told.values() if not each.subject_count]
    step.step(kafka([failing("alone", after_s=3 * 3_600)]))
    assert step.limits_hit["incidents_max"] == 1
    assert step._incidents.get(gone) is None


def test_a_parent_one_of_whose_children_makes_room_is_told_without_it():
    step = CorrelateStep(CorrelateSettings(incidents_max=4))
    [parent] = [each for each in known(step.step(kafka(THREE))).values() if each.children]
    told = known(step.step(kafka([failing("alone", after_s=3 * 3_600)])))
    assert told[parent.incident_id].subject_count == 2


def history(random_):
    """What detect and people say of an outage, with commands that name an incident by its place among those told."""
    found, at = [], START
    drifts = []
    for number in range(60):
        at += random_.randrange(40 if number < 30 else 400) * SECOND
        what = random_.random()
        if what < 0.4:
            signal, subject = random_.choice(("error", "latency_ms", "pii_detected")), random_.choice("abcdefgh")
            begun = (at - START) / SECOND - random_.randrange(100)
            drifts.append(failing(subject, signal=signal, after_s=begun, drift_id=f"d-{number}", now=0.3))
            found.append(drifts[-1])
        elif what < 0.55 and drifts:
            first = random_.choice(drifts)
            found.append(later(first, (at - first.detected_at) / SECOND, sequence=number))
        elif what < 0.65:
            found.append(tick(at))
        else:
            found.append((random_.choice((*ACTIONS, "unmerge", "unmerge")), at, random_.random(), random_.random()))
    return found


def said(entry, number, told):
    """A command of a history about one of the incidents told, most often one that is or was merged or a parent."""
    action, at, which, other = entry
    ids = sorted(told)
    ids += [each for each in ids if told[each].merged_into or ":" in told[each].subject] * 3
    needed = {"severity": "P2", "assignee": "ben", "note": "seen", "into": ids[int(other * len(ids))]}
    return command(action, ids[int(which * len(ids))], at=at, command_id=f"c-{number}", **needed)


def restarted(step, kept, settings):
    kept |= dict(step.changed())
    fresh = CorrelateStep(settings)
    assert list(fresh.restore([(key, value) for key, value in kept.items() if value is not None])) == []
    return fresh


@pytest.mark.parametrize("seed", range(25))
def test_whatever_people_say_of_parents_nothing_breaks_and_a_restart_changes_nothing(seed):
    random_ = random.Random(seed)
    entries, settings = history(random_), CorrelateSettings(incidents_max=random_.choice((6, 500)))
    steady, shaky, kept, told = CorrelateStep(settings), CorrelateStep(settings), {}, {}
    for number, entry in enumerate(entries):
        if isinstance(entry, tuple) and not told:
            continue
        [message] = kafka([said(entry, number, told) if isinstance(entry, tuple) else entry])
        outputs = steady.step([message])
        assert shaky.step([message]) == outputs
        shaky = restarted(shaky, kept, settings)
        told |= known(outputs)
