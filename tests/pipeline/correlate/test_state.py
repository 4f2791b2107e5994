"""What a checkpoint stores, and how a step restores it."""

from pipeline.codec import encode
from pipeline.correlate.revision import add_drafts
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from tests.pipeline.correlate.builders import (
    MINUTE,
    SECOND,
    START,
    command,
    deployment,
    drift,
    incidents,
    kafka,
    later,
    started,
    tick,
)

REFUSED = drift()
BACK = later(REFUSED, 5 * 60)
QUIET_UNTIL = REFUSED.detected_at + 10 * MINUTE


def test_only_what_changed_is_written():
    step = started(None, deployment(), REFUSED, tick(START + SECOND))
    assert [key.split(b"/")[0] for key, _ in step.changed()] == [
        b"clocks",
        b"deployment",
        b"drift",
        b"published",
        b"incident",
    ]
    assert list(step.changed()) == []
    step.step(kafka([tick(START + 2 * SECOND)]))
    assert [key for key, _ in step.changed()] == [b"clocks/"]


def test_parts_that_do_not_fit_are_discarded_with_one_line_per_part():
    parts = dict(started(None, deployment(), REFUSED).changed())
    [incident] = [key for key in parts if key.startswith(b"incident/")]
    bad = {
        b"incident/inc-1": b"nonsense",
        b"incident/inc-2": encode({"incident_id": "inc-2"}, kind="incident"),
        b"deployment/d-1": encode({"arrival": 0, "deployment": {}}, kind="deployment"),
        b"incident/inc-3": parts[incident],
        b"drift/lost": encode({"incident_id": "inc-3", "join_order": 1}, kind="drift"),
        b"rumour/1": encode({}, kind="rumour"),
        b"\xff\xfe": b"",
    }
    step = CorrelateStep(CorrelateSettings())
    lines = list(step.restore((bad | parts).items()))
    # A drift that does not fit also discards its incident; keys that name no part share a warning.
    assert len(lines) == len(bad) - 2
    assert all("discarded" in line for line in lines)
    [revision] = incidents(step.step(kafka([BACK])))
    assert (revision.incident_id, revision.revision) == (incident.decode().split("/")[1], 2)


def test_an_incident_is_discarded_if_its_last_published_revision_is_lost():
    parts = {key: value for key, value in started(None, REFUSED).changed() if not key.startswith(b"published/")}
    [line] = CorrelateStep(CorrelateSettings()).restore(parts.items())
    assert "the revision that was last published is not in the checkpoint" in line


def test_changed_settings_keep_open_incidents():
    parts = dict(started(None, REFUSED).changed())
    step = CorrelateStep(CorrelateSettings(join_window_s=5, resolve_after_s=1))
    assert list(step.restore(parts.items())) == []
    assert [incident.revision for incident in incidents(step.step(kafka([BACK, tick(START + 20 * MINUTE)])))] == [2, 3]


def test_only_the_drifts_that_changed_are_written_again():
    empty = drift("empty", now=0.02)
    topic = dict(started(None, REFUSED, empty).changed())
    step = CorrelateStep(CorrelateSettings())
    assert list(step.restore(topic.items())) == []
    step.step(kafka([later(empty, 10, "evidence")]))
    assert [key for key, _ in step.changed() if key.startswith(b"drift/")] == [f"drift/{empty.drift_id}".encode()]


def test_a_drift_that_another_incident_tracks_now_is_kept():
    settings = CorrelateSettings(announce_after_s=0, incidents_max=2)
    old, new = drift(subject="old", start=START - 60 * MINUTE), drift(subject="new", start=START + MINUTE)
    for subject in "abcd":  # The ids of the two incidents have both orders.
        first = drift(subject=subject)
        step = started(settings, old, first)
        parts = dict(step.changed())
        resolved = command("resolve", step._table.incidents.find_by_drift(first.drift_id).incident_id)
        # The limit removes the resolved incident, and the next report of its drift opens another.
        step.step(kafka([resolved, new, later(first, 120, "evidence")], first_offset=9))
        parts |= dict(step.changed())
        restored = CorrelateStep(settings)
        assert list(restored.restore((key, value) for key, value in parts.items() if value is not None)) == []
        assert list(restored._table.incidents.find_by_drift(first.drift_id).tracked) == [first.drift_id]


def test_a_revision_of_an_earlier_version_is_not_published_again_for_its_drafts():
    step = started(None, REFUSED)
    [incident] = step._table.incidents
    incident.last_published = add_drafts(incident.last_published)
    incident.is_stale = True
    parts = dict(step.changed())
    step = CorrelateStep(CorrelateSettings())
    assert list(step.restore(parts.items())) == []
    assert step.step(kafka([later(REFUSED, 1, "evidence")], first_offset=9)) == []
