import base64
import random
from typing import Any

import orjson
import pytest

from pipeline.route.delivery import Delivery
from pipeline.route.settings import RouteSettings
from pipeline.route.step import RouteStep
from pipeline.step import InputMessage, OutputMessage, RawMessage
from schemas.dead_letter import DeadLetter
from schemas.notification import Notification
from schemas.topics import ALERTS, COMMANDS, DEAD_LETTERS, NOTIFICATIONS
from tests.pipeline.route.samples import STARTED, alert, incident, silence, suspect

SENT_AT = STARTED + 99_000
SETTINGS = RouteSettings.model_validate(
    {
        "receivers": [
            {"name": "console", "console": True},
            {"name": "pager", "webhook": {"url": "http://pager.example.org/"}},
            {"name": "chat", "console": True, "severities": ["P1", "P2", "P3"], "send_resolved": False},
        ],
        "routes": [
            {"name": "urgent", "matchers": ['severity=~"P1|P2"'], "receivers": ["pager"], "continue": True},
            {"name": "talk", "matchers": ['environment="production"'], "receivers": ["chat", "console"]},
        ],
    }
)


def settle(step: RouteStep, failing: str = "") -> list[OutputMessage]:
    """Deliver everything that is pending; the receiver ``failing`` refuses."""
    outputs = []
    for dispatch in step.take_pending():
        if dispatch.receiver == failing:
            delivery = Delivery("failed", "answered 400", attempts=1)
        else:
            delivery = Delivery("sent", "accepted", attempts=2, sent_at=SENT_AT)
        outputs += step.record_delivery(dispatch, delivery)
    return outputs


def run(step: RouteStep, *messages: InputMessage, failing: str = "") -> list[tuple[str, int, str, str]]:
    """Step through messages one by one, and return receiver, revision, outcome and reason of every notification."""
    notes = []
    for message in messages:
        for output in step.step([message]) + settle(step, failing):
            if output.topic == NOTIFICATIONS:
                note = Notification.from_json(output.value or b"")
                notes.append((note.receiver, note.revision, note.outcome, note.reason))
    return notes


def dead_letters(outputs: list[OutputMessage]) -> list[DeadLetter]:
    return [DeadLetter.from_json(output.value or b"") for output in outputs if output.topic == DEAD_LETTERS]


def test_a_new_incident_is_pending_before_a_notification_is_written():
    step = RouteStep(RouteSettings())
    assert step.step([alert(incident(), offset=7)]) == []
    (dispatch,) = step.take_pending()
    assert dispatch.notification_id == "inc-3f9a21c0b7:1:console"
    assert (dispatch.receiver, dispatch.route) == ("console", "default")
    assert dispatch.incident == incident()
    assert dispatch.source.offset == 7
    assert step.take_pending() == []


def test_a_delivery_becomes_a_notification():
    step = RouteStep(RouteSettings())
    step.step([alert(incident())])
    (output,) = settle(step)
    assert (output.topic, output.key) == (NOTIFICATIONS, b"inc-3f9a21c0b7:1:console")
    assert Notification.from_json(output.value or b"") == Notification(
        notification_id="inc-3f9a21c0b7:1:console",
        incident_id="inc-3f9a21c0b7",
        revision=1,
        subject="support-bot",
        severity="P3",
        status="open",
        route="default",
        receiver="console",
        outcome="sent",
        reason="new to the receiver: P3 open",
        reason_code="first_notification",
        attempts=2,
        decided_at=STARTED + 41_000,
        sent_at=SENT_AT,
    )


def test_every_receiver_of_the_routes_gets_a_decision():
    step = RouteStep(SETTINGS)
    assert run(step, alert(incident(severity="P4"))) == [
        ("chat", 1, "suppressed", "the receiver accepts only P1, P2, P3"),
        ("console", 1, "sent", "new to the receiver: P4 open"),
    ]


def test_an_unchanged_revision_is_suppressed_with_the_reason():
    step = RouteStep(RouteSettings())
    notes = run(step, alert(incident()), alert(incident(revision=2, change="more evidence"), offset=1))
    assert notes[1:] == [("console", 2, "suppressed", "nothing new since revision 1: P3 open")]


def test_old_and_repeated_revisions_are_ignored():
    step = RouteStep(RouteSettings())
    run(step, alert(incident(revision=3)))
    for revision in (3, 2, 1):
        assert run(step, alert(incident(revision=revision, severity="P1"), offset=1)) == []


def test_of_several_revisions_in_one_batch_the_newest_is_sent():
    step = RouteStep(RouteSettings())
    outputs = step.step([alert(incident(revision=number), offset=number) for number in (1, 2, 3)])
    assert [dispatch.incident.revision for dispatch in step.take_pending()] == [3]
    notes = [Notification.from_json(output.value or b"") for output in outputs]
    assert [(note.revision, note.outcome, note.reason_code) for note in notes] == [
        (1, "suppressed", "superseded"),
        (2, "suppressed", "superseded"),
    ]
    assert notes[0].reason == "not sent before the newer state of revision 2"


def test_a_notified_receiver_is_sent_the_end_even_if_the_routes_no_longer_match():
    step = RouteStep(SETTINGS)
    run(step, alert(incident(severity="P1")))
    lowered = run(step, alert(incident(revision=2, severity="P3"), offset=1))
    assert ("pager", 2, "sent", "severity P1 -> P3") in lowered
    ended = run(step, alert(incident(revision=3, status="resolved"), offset=2))
    assert ("pager", 3, "sent", "status open -> resolved") in ended
    assert ("chat", 3, "suppressed", "the receiver does not accept the end of incidents") in ended
    after = run(step, alert(incident(revision=4, status="resolved", change="note"), offset=3))
    assert "pager" not in {receiver for receiver, *_ in after}


def test_a_receiver_that_was_never_notified_is_not_sent_the_end():
    step = RouteStep(RouteSettings())
    notes = run(step, alert(incident(status="resolved")))
    assert notes == [("console", 1, "suppressed", "resolved before the receiver was notified")]


def test_a_failed_delivery_becomes_a_notification_and_a_dead_letter_with_the_alert():
    step = RouteStep(RouteSettings())
    message = alert(incident(), offset=12)
    step.step([message])
    outputs = settle(step, failing="console")
    note = Notification.from_json(outputs[0].value or b"")
    assert (note.outcome, note.reason, note.attempts, note.sent_at) == ("failed", "answered 400", 1, None)
    (letter,) = dead_letters(outputs)
    assert (letter.step, letter.reason, letter.topic, letter.offset) == ("route", "receiver_refused", ALERTS, 12)
    assert "notification inc-3f9a21c0b7:1:console to console was not sent: answered 400" in letter.detail
    assert base64.b64decode(letter.value_base64 or "") == message.value


def test_two_failed_receivers_make_two_dead_letters():
    step = RouteStep(SETTINGS)
    step.step([alert(incident())])
    letters = []
    for dispatch in step.take_pending():
        letters += dead_letters(step.record_delivery(dispatch, Delivery("failed", "answered 400", 1)))
    assert len({letter.dead_letter_id for letter in letters}) == 2


def test_after_a_failure_the_next_revision_is_sent_even_if_nothing_changed():
    step = RouteStep(RouteSettings())
    run(step, alert(incident()), failing="console")
    assert run(step, alert(incident(revision=2), offset=1)) == [("console", 2, "sent", "new to the receiver: P3 open")]


def test_the_first_revision_after_a_silence_is_sent():
    step = RouteStep(RouteSettings())
    held = run(step, silence(), alert(incident()))
    assert held == [("console", 1, "suppressed", "silenced by ana until 2026-11-24T04:12:00.000Z (silence-1)")]
    over = run(step, alert(incident(revision=2, updated_at=STARTED + 3_600_000), offset=1))
    assert over == [("console", 2, "sent", "new to the receiver: P3 open")]


def test_a_silence_of_another_subject_suppresses_nothing():
    step = RouteStep(RouteSettings())
    assert run(step, silence(matchers=['subject="search"']), alert(incident()))[0][2] == "sent"


@pytest.mark.parametrize(
    "changes", [{"matchers": []}, {"matchers": ["nonsense"]}, {"until": None}, {"matchers": ['subject=~"(a+)+"']}]
)
def test_an_invalid_silence_becomes_a_dead_letter_and_suppresses_nothing(changes):
    step = RouteStep(RouteSettings())
    (letter,) = dead_letters(step.step([silence(offset=4, **changes)]))
    assert (letter.reason, letter.topic, letter.offset) == ("contract", COMMANDS, 4)
    assert letter.detail.startswith("the silence silence-1 is invalid: ")
    assert run(step, alert(incident()))[0][2] == "sent"


def test_other_commands_and_invalid_ones_are_left_to_correlate():
    step = RouteStep(RouteSettings())
    acknowledge = {"command_id": "c", "at": STARTED, "author": "ana", "action": "acknowledge", "incident_id": "inc"}
    for value in (orjson.dumps(acknowledge), b"nonsense", b"", None):
        assert step.step([RawMessage(COMMANDS, 0, 0, STARTED, None, value)]) == []
    assert list(step.changed()) == []


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "tombstone"),
        (b"", "empty"),
        (b"{", "not_json"),
        (b"\xff\xfe", "not_utf8"),
        (b"[]", "not_an_object"),
        (b"null", "not_an_object"),
        (b"{}", "contract"),
        (orjson.dumps(orjson.loads(incident().to_json()) | {"severity": "P9"}), "contract"),
        (orjson.dumps(orjson.loads(incident().to_json()) | {"revision": 0}), "contract"),
        (b'{"a":' * 10_000, "not_json"),
    ],
)
def test_an_unreadable_alert_becomes_a_dead_letter_with_its_bytes(value, reason):
    step = RouteStep(RouteSettings())
    outputs = step.step([RawMessage(ALERTS, 0, 5, STARTED, b"key", value), alert(incident(), offset=6)])
    (letter,) = dead_letters(outputs)
    assert letter.reason == reason
    assert letter.value_base64 == (None if value is None else base64.b64encode(value).decode())
    assert len(step.take_pending()) == 1


def test_an_incident_with_the_longest_id_that_the_contract_allows_is_sent():
    step = RouteStep(RouteSettings())
    ((receiver, _, outcome, _),) = run(step, alert(incident(incident_id="x" * 200)))
    assert (receiver, outcome) == ("console", "sent")


def test_beyond_the_limit_closed_and_then_quiet_incidents_are_dropped_first():
    step = RouteStep(RouteSettings(incidents_max=2))
    state: dict[bytes, bytes] = {}
    revisions = (
        incident(incident_id="a"),
        incident(incident_id="b"),
        incident(incident_id="b", revision=2, status="resolved"),
        incident(incident_id="c"),
        incident(incident_id="d"),
    )
    stored = []
    for offset, revision in enumerate(revisions):
        run(step, alert(revision, offset))
        apply_changes(state, step)
        names = [key.decode() for key in sorted(state)]
        stored.append(" ".join(name for name in names if name != "clock/"))
    assert stored == [
        "alert/a incident/a",
        "alert/a alert/b incident/a incident/b",
        "alert/a incident/a incident/b",
        "alert/a alert/c incident/a incident/c",
        "alert/c alert/d incident/c incident/d",
    ]


def test_damaged_state_is_discarded_with_a_line_and_the_rest_is_restored():
    step = RouteStep(RouteSettings())
    run(step, alert(incident()), silence())
    parts = dict(step.changed())
    restored = RouteStep(RouteSettings())
    damaged = [(b"incident/other", b"{"), (b"\xff", b""), (b"silence/x", parts[b"incident/inc-3f9a21c0b7"] or b"")]
    lines = list(restored.restore(damaged + [(key, value) for key, value in parts.items() if value]))
    assert len(lines) == 3
    assert all("discarded" in line for line in lines)
    names = (r"b'\xff'", "incident/other", "silence/x")
    assert all(name in line for name, line in zip(names, lines, strict=True))
    assert run(restored, alert(incident())) == []


def test_state_is_restored_under_other_settings_so_that_nobody_is_notified_twice():
    step = RouteStep(SETTINGS)
    run(step, alert(incident()))
    restored = RouteStep(RouteSettings())
    assert list(restored.restore([(key, value) for key, value in step.changed() if value])) == []
    assert run(restored, alert(incident(revision=2), offset=1)) == [
        ("console", 2, "suppressed", "nothing new since revision 1: P3 open")
    ]


def apply_changes(state: dict[bytes, bytes], step: RouteStep) -> None:
    for key, value in step.changed():
        if value is None:
            state.pop(key, None)
        else:
            state[key] = value


def scenario(seed: int) -> list[RawMessage]:
    """IncidentStore that open, change and close among silences, repetitions and invalid messages."""
    chance = random.Random(seed)
    messages: list[RawMessage] = []
    revisions: dict[str, int] = {}
    for offset in range(120):
        kind = chance.random()
        if kind < 0.06:
            messages.append(RawMessage(ALERTS, 0, offset, STARTED, None, chance.choice([None, b"", b"rubbish", b"{}"])))
        elif kind < 0.16:
            hours = chance.randint(0, 3)
            matchers = [chance.choice(['severity="P3"', 'subject="support-bot"', "nonsense"])]
            at = STARTED + offset * 60_000
            messages.append(
                silence(
                    offset,
                    command_id=f"s-{chance.randint(0, 5)}",
                    at=at,
                    until=at + hours * 3_600_000,
                    matchers=matchers,
                )
            )
        else:
            name = f"inc-{chance.randint(0, 7)}"
            revisions[name] = revisions.get(name, 0) + chance.choice([0, 1, 1, 1, 2])
            fields: dict[str, Any] = {
                "incident_id": name,
                "revision": max(1, revisions[name]),
                "severity": chance.choice(["P1", "P2", "P3", "P4"]),
                "status": chance.choice(["open", "open", "open", "acknowledged", "resolved"]),
                "suspects": chance.choice([[], [suspect()], [suspect(deployment_id="other")]]),
                "environment": chance.choice([None, "production"]),
                "updated_at": STARTED + offset * 60_000,
            }
            messages.append(alert(incident(**fields), offset))
    return messages


def play(
    messages: list[RawMessage], cuts: set[int], restores: set[int], failing: str = "", incidents_max: int = 5
) -> tuple[dict[bytes, list[bytes]], dict[bytes, bytes]]:
    """Return all outputs by key and the final state. Batches end at ``cuts``, restarts follow ``restores``."""
    settings = SETTINGS.model_copy(update={"incidents_max": incidents_max, "silences_max": 3})
    step = RouteStep(settings)
    state: dict[bytes, bytes] = {}
    written: dict[bytes, list[bytes]] = {}
    batch: list[RawMessage] = []
    for index, message in enumerate(messages):
        batch.append(message)
        last = index + 1 == len(messages)
        if not (last or index in cuts or messages[index + 1].topic != message.topic):
            continue  # a batch has messages of one topic
        for output in step.step(batch) + settle(step, failing):
            written.setdefault(output.key or b"", []).append(output.value or b"")
        batch = []
        apply_changes(state, step)
        if index in restores:
            step = RouteStep(settings)
            parts = list(state.items())
            random.Random(index).shuffle(parts)
            assert list(step.restore(parts)) == []
    return written, state


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_restarts_change_neither_outputs_nor_state(seed):
    messages = scenario(seed)
    chance = random.Random(seed)
    every = set(range(len(messages)))
    expected = play(messages, every, set(), failing="pager")
    assert len(expected[0]) > 50
    for share in (0.05, 0.5, 1.0):
        restores = {index for index in every if chance.random() < share}
        assert play(messages, every, restores, failing="pager") == expected, f"seed {seed}"


def last_states(written: dict[bytes, list[bytes]]) -> dict[tuple[str, str], tuple[str, str]]:
    """Severity and status that each receiver was sent last, by incident and receiver."""
    notes = [Notification.from_json(value) for values in written.values() for value in values if b'"outcome"' in value]
    sent = sorted((note for note in notes if note.outcome == "sent"), key=lambda note: note.revision)
    return {(note.incident_id, note.receiver): (note.severity, note.status) for note in sent}


@pytest.mark.parametrize("seed", range(20))
def test_batch_boundaries_do_not_change_the_last_state_that_a_receiver_is_sent(seed):
    # Without what can replace a state that is owed: the end of an incident, and silences.
    messages = [
        message for message in scenario(seed) if message.topic == ALERTS and b'"resolved"' not in (message.value or b"")
    ]
    chance = random.Random(seed)
    expected = last_states(play(messages, set(range(len(messages))), set(), incidents_max=100)[0])
    assert len(expected) >= 5
    for share in (0.0, 0.2, 0.6):
        cuts = {index for index in range(len(messages)) if chance.random() < share}
        found = last_states(play(messages, cuts, cuts, incidents_max=100)[0])
        # A receiver is not told of an incident that is no longer for it when it could be told.
        assert len(found) > len(expected) / 2
        assert found.items() <= expected.items(), f"seed {seed}"


def test_without_incidents_ticks_control_messages_and_gaps_change_nothing():
    step = RouteStep(RouteSettings())
    assert step.tick(STARTED) == []
    assert step.control(alert(incident())) == []
    step.on_gap()
    assert list(step.changed()) == []
