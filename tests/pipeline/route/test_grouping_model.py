"""The messages of groups agree with a plain model on random incidents, routes and times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.route import Delivery, RouteSettings, RouteStep
from tests.mutations import fuzz_settings
from tests.pipeline.route.samples import STARTED, alert, incident

SENT = Delivery("sent", "", 1, STARTED)
STEP_S = 5
DEFAULT = {"group_by": ["..."], "group_wait_s": 30, "group_interval_s": 300}
GROUPING = st.fixed_dictionaries(
    {
        "group_by": st.sampled_from([None, [], ["subject"], ["severity"], ["team", "subject"], ["..."]]),
        "group_wait_s": st.sampled_from([None, 0, 20, 60]),
        "group_interval_s": st.sampled_from([None, 0, 45, 200]),
    }
)
EVENTS = st.lists(
    st.tuples(
        st.integers(0, 30).map(lambda steps: steps * STEP_S),  # seconds since the last event
        st.sampled_from("pqrs"),
        st.sampled_from("xyz"),
        st.sampled_from(["P1", "P2"]),
        st.sampled_from(["open", "open", "open", "acknowledged", "resolved"]),
    ),
    min_size=1,
    max_size=14,
)


class Model:
    """The messages that one reliable receiver gets, decided by looking at everything every five seconds."""

    def __init__(self, groupings):
        self.groupings = groupings  # of the routes default, outer and inner
        self.told = {}  # what the receiver knows, by incident: severity, status, group, time of its group's last message
        self.owed = {}  # revision, group and the time since which it is owed, by incident
        self.revisions = {}

    def grouping(self, route):
        """The grouping of a route with what it inherits: inner is in outer, outer in the default route."""
        names = {"default": ["default"], "outer": ["outer", "default"], "inner": ["inner", "outer", "default"]}[route]
        levels = [self.groupings[name] for name in names]
        return {key: next(level[key] for level in levels if level[key] is not None) for key in DEFAULT}

    def route(self, one):
        return {"x": "inner", "y": "outer", "z": "default"}[one.subject]

    def find_group(self, one):
        told = self.told.get(one.incident_id)
        if told is not None and told["status"] != "resolved":
            return told["group"]
        labels = {"subject": one.subject, "severity": one.severity, "team": "red" if one.subject == "x" else ""}
        group_by = self.grouping(self.route(one))["group_by"]
        if group_by == ["..."]:
            return one.incident_id  # a group of its own, which never waits
        return self.route(one), tuple(labels[name] for name in group_by)

    def read(self, one, now):
        name, told = one.incident_id, self.told.get(one.incident_id)
        self.revisions[name] = one
        owed = self.owed.pop(name, None)
        if told is None:
            is_news = one.status != "resolved"
        else:
            is_news = (one.severity, one.status) != (told["severity"], told["status"])
        if is_news:
            _, _, since = owed or (None, None, now)
            self.owed[name] = (one, self.find_group(one), since)

    def due_at(self, group):
        since = min(since for _, other, since in self.owed.values() if other == group)
        if isinstance(group, str):
            return since
        grouping, open_at = self.grouping(group[0]), [told["at"] for told in self.open_in(group).values()]
        return max([since + grouping["group_wait_s"], *(at + grouping["group_interval_s"] for at in open_at)])

    def open_in(self, group):
        return {
            name: told for name, told in self.told.items() if told["group"] == group and told["status"] != "resolved"
        }

    def send(self, now):
        messages = []
        for group in {group for _, group, _ in self.owed.values()}:
            if self.due_at(group) > now:
                continue
            news = {name: one for name, (one, other, _) in self.owed.items() if other == group}
            others = self.open_in(group).keys() - news.keys() if not isinstance(group, str) else set()
            for name, one in news.items():
                del self.owed[name]
                self.told[name] = {"severity": one.severity, "status": one.status, "group": group, "at": now}
            for name in others:
                self.told[name]["at"] = now
            messages.append((sorted(news), sorted(others)))
        return sorted(messages)


def send(step):
    messages = []
    for message in step.take_pending():
        others = () if message.group_news is None else message.group_news.unchanged
        news = sorted(member.incident.incident_id for member in message.members)
        messages.append((news, sorted(other.incident_id for other in others)))
        step.record_delivery(message, SENT)
    return sorted(messages)


def build(groupings):
    inner, outer = (
        {key: value for key, value in groupings[name].items() if value is not None} for name in ("inner", "outer")
    )
    routes = [
        {"name": "inner", "matchers": ["subject=x"], "receivers": ["chat"]} | inner,
    ]
    return RouteSettings.model_validate(
        {
            "receivers": [{"name": "chat", "console": True}],
            "default_receivers": ["chat"],
            "labels": [{"matchers": ["subject=x"], "labels": {"team": "red"}}],
            "routes": [
                {"name": "outer", "matchers": ["subject=~x|y"], "receivers": ["chat"], "routes": routes} | outer
            ],
            "repeat_interval_s": 1e9,
        }
        | groupings["default"]
    )


@pytest.mark.slow
@fuzz_settings
@given(default=GROUPING, outer=GROUPING, inner=GROUPING, events=EVENTS)
def test_groups_agree_with_a_plain_model(default, outer, inner, events):
    default = {key: DEFAULT[key] if value is None else value for key, value in default.items()}
    groupings = {"default": default, "outer": outer, "inner": inner}
    step, model, now, subjects = RouteStep(build(groupings), STARTED), Model(groupings), 0, {}

    def advance(seconds):
        nonlocal now
        for _ in range(0, seconds, STEP_S):
            now += STEP_S
            step.tick(STARTED + now * 1000)
            assert send(step) == model.send(now)

    for revision, (seconds, name, subject, severity, status) in enumerate(events, start=1):
        advance(seconds)
        fields = {"subject": subjects.setdefault(name, subject), "severity": severity, "status": status}
        one = incident(incident_id=name, revision=revision, **fields)
        step.step([alert(one, revision)])
        model.read(one, now)
        assert send(step) == model.send(now)
    advance(400)
    assert not step.has_pending()
    assert not model.owed
