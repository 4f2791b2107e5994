"""Route agrees with a plain model on random route trees, silences, inhibition, time intervals, escalations and failures."""

from collections import Counter
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.route import Delivery, RouteSettings, RouteStep
from schemas.notification import Notification
from schemas.topics import NOTIFICATIONS
from tests.mutations import fuzz_settings
from tests.pipeline.route.samples import STARTED, alert, evidence, incident, silence

HOUR_MS = 3_600_000
REPEAT_MS = 20 * HOUR_MS
CLOSED = ("resolved", "merged")

CONDITIONS = {
    'severity="P1"': lambda one: one.severity == "P1",
    'severity=~"P1|P2"': lambda one: one.severity in ("P1", "P2"),
    'subject="x"': lambda one: one.subject == "x",
    'subject!="x"': lambda one: one.subject != "x",
    'layer="safety"': lambda one: any(line.layer == "safety" for line in one.evidence),
    'layer!="safety"': lambda one: all(line.layer != "safety" for line in one.evidence),
    'team="red"': lambda one: one.subject == "x",
    'team!~"red|blue"': lambda one: one.subject != "x",
}
"""Matchers, and what they mean. The configuration gives the subject x the team red."""

INTERVALS = {
    "morning": ({"times": [{"start_time": "00:00", "end_time": "12:00"}]}, lambda time: time.hour < 12),
    "month": ({"days_of_month": ["25:-1"]}, lambda time: time.day >= 25),
}
RECEIVERS = [
    {"name": "a", "console": True},
    {"name": "b", "console": True, "severities": ["P1", "P2"]},
    {"name": "c", "console": True, "send_resolved": False},
]
GROUP_LABELS = {
    "subject": lambda one: one.subject,
    "severity": lambda one: one.severity,
    "team": lambda one: "red" if one.subject == "x" else "",
}
EQUAL = {"subject": lambda one: one.subject, "layer": lambda one: {line.layer for line in one.evidence}}

MATCHERS = st.lists(st.sampled_from(list(CONDITIONS)), max_size=2)
SOME_MATCHERS = st.lists(st.sampled_from(list(CONDITIONS)), min_size=1, max_size=2)
TIMES = st.lists(st.sampled_from(list(INTERVALS)), max_size=1)


def routes(depth):
    return st.lists(
        st.fixed_dictionaries(
            {
                "matchers": MATCHERS,
                "receivers": st.lists(st.sampled_from("abc"), min_size=1, max_size=2),
                "continue": st.booleans(),
                "mute_times": TIMES,
                "active_times": TIMES,
                "repeat_interval_s": st.sampled_from([None, None, 40 * 3600, 5 * 3600]),
                "group_by": st.sampled_from([None, [], ["subject"], ["severity", "team"], ["..."]]),
                "routes": routes(depth - 1) if depth else st.just([]),
            }
        ),
        max_size=3,
    )


INHIBIT = st.fixed_dictionaries(
    {
        "source": SOME_MATCHERS,
        "target": SOME_MATCHERS,
        "equal": st.lists(st.sampled_from(list(EQUAL)), max_size=1),
    }
)
ESCALATION = st.fixed_dictionaries(
    {
        "matchers": MATCHERS,
        "after_s": st.sampled_from([3600, 5 * 3600]),
        "receivers": st.lists(st.sampled_from("abc"), min_size=1, max_size=2),
    }
)
ALERT = st.fixed_dictionaries(
    {
        "incident_id": st.sampled_from("pqr"),
        "severity": st.sampled_from(["P1", "P2", "P3"]),
        "status": st.sampled_from(["open", "open", "acknowledged", "resolved"]),
        "layers": st.lists(st.sampled_from(["safety", "output"]), max_size=2),
    }
)
SILENCE = st.fixed_dictionaries(
    {"command_id": st.sampled_from("st"), "matchers": SOME_MATCHERS, "hours": st.integers(1, 30)}
)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 30),  # hours since the last event
        st.none() | ALERT | SILENCE,
        st.sets(st.sampled_from("abc"), max_size=2),  # failing receivers
    ),
    min_size=1,
    max_size=14,
)


def name_routes(tree, prefix="r"):
    return [
        node | {"name": f"{prefix}{index}", "routes": name_routes(node["routes"], f"{prefix}{index}.")}
        for index, node in enumerate(tree)
    ]


class Model:
    """What route should write, decided by looking at everything at each event."""

    def __init__(self, tree, inhibit, escalations):
        self.tree, self.inhibit, self.escalations = tree, inhibit, escalations
        self.repeats_ms = {"default": REPEAT_MS}
        self.group_by = {"default": ["..."]}
        self.inherit(tree, REPEAT_MS, ["..."])
        self.messages = set()  # the receivers and groups of the messages that are sent now
        self.waiting = {}  # since when an incident waits for somebody, and whether it is escalated, by incident and name
        self.now = STARTED
        self.incidents, self.silences, self.sent, self.held = {}, {}, {}, {}

    def inherit(self, nodes, outer_ms, outer_labels):
        for node in nodes:
            name, own_s, own_labels = node["name"], node["repeat_interval_s"], node["group_by"]
            self.repeats_ms[name] = outer_ms if own_s is None else own_s * 1000
            self.group_by[name] = outer_labels if own_labels is None else own_labels
            self.inherit(node["routes"], self.repeats_ms[name], self.group_by[name])

    def group(self, one, route, sent):
        """The group of an incident, which it keeps while the receiver knows that it is open, or None."""
        if sent is not None and sent["status"] not in CLOSED:
            return sent["group"]
        labels = self.group_by.get(route, ["..."])
        return None if labels == ["..."] else (route, *(GROUP_LABELS[label](one) for label in labels))

    def send(self):
        """A message lists the other open incidents of its group too, so their next repeat is later."""
        for (_, receiver), sent in self.sent.items():
            if (receiver, sent["group"]) in self.messages and sent["group"] and sent["status"] not in CLOSED:
                sent["at"] = self.now
        self.messages = set()

    def is_repeat_due(self, one, names, sent):
        interval_ms = min(self.repeats_ms.get(name, REPEAT_MS) for name in names)
        return one.status not in CLOSED and self.now - sent["at"] >= interval_ms

    def tick(self, failing):
        notes = []
        for one in sorted(self.incidents.values(), key=lambda one: one.incident_id):
            new, outcomes = self.escalate(one), []
            for receiver, names in self.recipients(one).items():
                held, sent = self.held.get((one.incident_id, receiver)), self.sent.get((one.incident_id, receiver))
                if held is not None:
                    is_due = self.obstacle(one, names) != held
                elif receiver in new and (sent is None or sent["status"] in CLOSED):
                    is_due = True
                else:
                    is_due = sent is not None and self.is_repeat_due(one, names, sent)
                if is_due:
                    outcomes.append(self.decide(one, receiver, names, failing, held))
            if outcomes:
                self.wait(one, outcomes)
            notes += outcomes
        self.send()
        return notes

    def escalate(self, one):
        """The receivers of the escalations whose time has come."""
        new = set()
        for rule in self.escalations:
            since, is_due = self.waiting.get((one.incident_id, rule["name"]), (self.now, True))
            if not is_due and self.now - since >= rule["after_s"] * 1000:
                self.waiting[one.incident_id, rule["name"]] = (since, True)
                new |= {
                    receiver
                    for other in self.escalations
                    if self.waiting.get((one.incident_id, other["name"]), (0, False))[1]
                    for receiver in other["receivers"]
                } | set(rule["receivers"])
        return new

    def wait(self, one, outcomes):
        """Begin and end the times of the escalations after decisions."""
        is_told = {"sent", "failed"} & {note[3] for note in outcomes} or any(
            key[0] == one.incident_id and sent["status"] not in CLOSED for key, sent in self.sent.items()
        )
        for rule in self.escalations:
            key = (one.incident_id, rule["name"])
            if is_told and self.escalates(rule, one):
                self.waiting.setdefault(key, (self.now, False))
            else:
                self.waiting.pop(key, None)

    def escalates(self, rule, one):
        return one.status == "open" and all(CONDITIONS[text](one) for text in rule["matchers"])

    def read(self, one, failing):
        self.incidents[one.incident_id] = one
        for rule in self.escalations:
            if not self.escalates(rule, one):
                self.waiting.pop((one.incident_id, rule["name"]), None)
        recipients = self.recipients(one)
        self.held = {key: reason for key, reason in self.held.items() if key[0] != one.incident_id}
        notes = [self.decide(one, receiver, names, failing, None) for receiver, names in recipients.items()]
        self.wait(one, notes)
        self.send()
        return notes

    def recipients(self, one):
        found = {}
        for node in self.matching(self.tree, one) or [{"name": "default", "receivers": ["a"]}]:
            for receiver in node["receivers"]:
                found.setdefault(receiver, []).append(node["name"])
        for rule in self.escalations:
            if self.waiting.get((one.incident_id, rule["name"]), (0, False))[1]:
                for receiver in rule["receivers"]:
                    found.setdefault(receiver, []).append(rule["name"])
        for (incident_id, receiver), sent in self.sent.items():
            if incident_id == one.incident_id and sent["status"] not in CLOSED:
                found.setdefault(receiver, [sent["route"]])
        return found

    def matching(self, nodes, one):
        found = []
        for node in nodes:
            if all(CONDITIONS[text](one) for text in node["matchers"]):
                found += self.matching(node["routes"], one) or [node]
                if not node["continue"]:
                    break
        return found

    def node(self, name, nodes=None):
        for node in self.tree if nodes is None else nodes:
            found = node if node["name"] == name else self.node(name, node["routes"])
            if found:
                return found
        return None

    def obstacle(self, one, names):
        for rule in self.inhibit:
            for other in self.incidents.values():
                if other.incident_id != one.incident_id and self.inhibits(rule, other, one):
                    return "inhibited"
        closed = [self.closed(name) for name in names]
        if all(closed):
            return closed[0]
        covered = [
            until for matchers, start, until in self.silences.values() if self.covers(matchers, start, until, one)
        ]
        return f"silenced {max(covered)}" if covered else None

    def inhibits(self, rule, source, target):
        sides = [
            [all(CONDITIONS[text](one) for text in rule[side]) for side in ("source", "target")]
            for one in (source, target)
        ]
        return (
            source.status not in CLOSED
            and sides[0][0]
            and sides[1][1]
            and sides != [[True, True], [True, True]]
            and all(EQUAL[name](source) == EQUAL[name](target) for name in rule["equal"])
        )

    def closed(self, name):
        node, time = self.node(name), datetime.fromtimestamp(self.now / 1000, UTC)
        if node and node["active_times"] and not any(INTERVALS[name][1](time) for name in node["active_times"]):
            return "outside_active_time"
        return "muted" if node and any(INTERVALS[name][1](time) for name in node["mute_times"]) else None

    def covers(self, matchers, start, until, one):
        return start <= self.now < until and all(CONDITIONS[text](one) for text in matchers)

    def decide(self, one, receiver, names, failing, held_before):
        key = (one.incident_id, receiver)
        sent = self.sent.get(key)
        self.held.pop(key, None)
        code, is_news = self.news(one, receiver, names, sent)
        is_new = one.status == "open" and (sent is None or sent["status"] in CLOSED)
        route = next((name for name in names if not self.closed(name)), names[0])
        if is_news and is_new and route in {rule["name"] for rule in self.escalations}:
            code = "escalated"
            if held_before in ("muted", "outside_active_time"):
                held_before = None
        obstacle = self.obstacle(one, names) if is_news else None
        if obstacle is not None:
            self.held[key] = obstacle
        if not is_news or obstacle is not None:
            code = obstacle.split()[0] if obstacle else code
            return one.incident_id, one.revision, receiver, "suppressed", code
        if receiver in failing:
            if sent is not None:
                sent["at"] = self.now
            return one.incident_id, one.revision, receiver, "failed", "receiver_failed"
        group = self.group(one, route, sent)
        self.sent[key] = {
            "severity": one.severity,
            "status": one.status,
            "at": self.now,
            "route": route,
            "group": group,
        }
        self.messages.add((receiver, group))
        ended = {"inhibited": "inhibition_ended", "muted": "mute_ended", "outside_active_time": "active_time_began"}
        if held_before is not None:
            code = ended.get(held_before, "silence_ended")
        return one.incident_id, one.revision, receiver, "sent", code

    def news(self, one, receiver, names, sent):
        is_over = one.status in CLOSED
        if sent is None and is_over:
            return "closed_before_notified", False
        if sent is None:
            is_accepted = receiver != "b" or one.severity in ("P1", "P2")
            return ("first_notification", True) if is_accepted else ("severity_not_accepted", False)
        if is_over and receiver == "c":
            sent["status"] = one.status
            return "end_not_accepted", False
        if one.severity != sent["severity"]:
            return "severity_changed", True
        if one.status != sent["status"]:
            return "status_changed", True
        return ("repeat_interval", True) if self.is_repeat_due(one, names, sent) else ("no_change", False)


def settle(step, outputs, failing):
    for dispatch in step.take_pending():
        outcome = "failed" if dispatch.receiver in failing else "sent"
        outputs += step.record_delivery(dispatch, Delivery(outcome, "answered 400", 1, None))
    list(step.changed())
    return [Notification.from_json(output.value) for output in outputs if output.topic == NOTIFICATIONS]


def summary(notes):
    return sorted((note.incident_id, note.revision, note.receiver, note.outcome, note.reason_code) for note in notes)


@pytest.mark.slow
@fuzz_settings
@given(
    tree=routes(1),
    inhibit=st.lists(INHIBIT, max_size=2),
    escalations=st.lists(ESCALATION, max_size=2),
    events=EVENTS,
)
def test_route_agrees_with_a_plain_model_and_each_revision_ends_once_for_each_receiver(
    tree, inhibit, escalations, events
):
    tree = name_routes(tree)
    escalations = name_routes([rule | {"routes": []} for rule in escalations], "e")
    settings = RouteSettings.model_validate(
        {
            "receivers": RECEIVERS,
            "default_receivers": ["a"],
            "routes": tree,
            "inhibit": inhibit,
            "escalations": [{key: rule[key] for key in rule if key != "routes"} for rule in escalations],
            "time_intervals": {name: fields for name, (fields, _) in INTERVALS.items()},
            "labels": [{"matchers": ["subject=x"], "labels": {"team": "red"}}],
            "repeat_interval_s": REPEAT_MS / 1000,
            "group_wait_s": 0,  # groups do not change what is sent or why, but when: see test_grouping_model.py
            "group_interval_s": 0,
        }
    )
    step, model = RouteStep(settings, STARTED), Model(tree, inhibit, escalations)
    ends, ids, revisions = {}, Counter(), Counter()
    for offset, (hours, event, failing) in enumerate(events):
        model.now += hours * HOUR_MS
        notes = settle(step, step.tick(model.now), failing)
        assert summary(notes) == sorted(model.tick(failing))
        if event is not None and "incident_id" in event:
            revisions[event["incident_id"]] += 1
            one = incident(
                **{name: value for name, value in event.items() if name != "layers"},
                revision=revisions[event["incident_id"]],
                subject="y" if event["incident_id"] == "q" else "x",
                evidence=[evidence(str(number), layer=layer) for number, layer in enumerate(event["layers"])],
            )
            found = settle(step, step.step([alert(one, offset)]), failing)
            assert summary(found) == sorted(model.read(one, failing))
            assert {note.receiver for note in found} == set(model.recipients(one)) | {note.receiver for note in found}
            notes += found
        elif event is not None:
            until = model.now + event["hours"] * HOUR_MS
            model.silences[event["command_id"]] = (event["matchers"], model.now, until)
            fields = {"command_id": event["command_id"], "matchers": event["matchers"]}
            step.step([silence(offset, **fields, at=model.now, until=until)])
        for note in notes:
            assert note.reason_code is not None
            ends[note.incident_id, note.revision, note.receiver] = note.outcome
            ids[note.notification_id] += 1
    assert set(ends.values()) <= {"sent", "suppressed", "failed"}
    assert max(ids.values(), default=0) <= 1, "two decisions have the same key"
