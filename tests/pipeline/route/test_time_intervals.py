"""Time intervals agree with a plain model, which knows the offset of each zone from a table of its changes."""

import calendar
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.route import RouteStep
from pipeline.route.settings import RouteSettings
from pipeline.route.time_intervals import TimeInterval, TimeIntervalSettings
from tests.mutations import fuzz_settings
from tests.pipeline.route.samples import alert, incident
from tests.pipeline.route.test_step import run


def unix_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def interval(**fields) -> TimeInterval:
    return TimeInterval.from_settings(TimeIntervalSettings.model_validate(fields))


def times(*parts):
    return [dict(zip(("start_time", "end_time"), part.split("-"), strict=True)) for part in parts]


ZONES = {
    "Europe/Berlin": (60, [("2026-03-29T01:00Z", 120), ("2026-10-25T01:00Z", 60)]),
    "America/New_York": (-300, [("2026-03-08T07:00Z", -240), ("2026-11-01T06:00Z", -300)]),
    "Australia/Lord_Howe": (660, [("2026-04-04T15:00Z", 630), ("2026-10-03T15:30Z", 660)]),
}
"""The offset from UTC at the beginning of 2026 in minutes, and the instants at which it changes in 2026."""

WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]


def model_contains(fields, zone, at) -> bool:
    """Whether an interval contains a time in 2026, by adding the offset and comparing text."""
    offset, changes = ZONES[zone]
    for instant, after in changes:
        if at >= unix_ms(instant):
            offset = after
    local = datetime.fromtimestamp(at // 1000, UTC).replace(tzinfo=None) + timedelta(minutes=offset)
    days = calendar.monthrange(local.year, local.month)[1]
    conditions = []
    if "times" in fields:
        clock = local.strftime("%H:%M")
        conditions.append(any(part["start_time"] <= clock < part["end_time"] for part in fields["times"]))
    if "weekdays" in fields:
        conditions.append(WEEKDAYS[local.weekday()] in fields["weekdays"])
    if "days_of_month" in fields:
        conditions.append(
            any(local.day in (int(day), days + 1 + int(day) if int(day) < 0 else 0) for day in fields["days_of_month"])
        )
    if "months" in fields:
        conditions.append(str(local.month) in fields["months"])
    return all(conditions)


CLOCK = st.integers(0, 24 * 60).map(lambda minute: f"{minute // 60:02}:{minute % 60:02}")
PART = st.tuples(CLOCK, CLOCK).filter(lambda ends: ends[0] < ends[1]).map("-".join)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "times": st.lists(PART, min_size=1, max_size=2).map(lambda parts: times(*parts)),
        "weekdays": st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4),
        "days_of_month": st.lists(st.integers(-31, 31).filter(bool).map(str), min_size=1, max_size=10),
        "months": st.lists(st.integers(1, 12).map(str), min_size=1, max_size=8),
    },
)
NEAR_A_CHANGE = st.sampled_from(sorted(ZONES)).flatmap(
    lambda zone: st.tuples(
        st.just(zone),
        st.builds(
            lambda change, minutes, ms: unix_ms(change[0]) + minutes * 60_000 + ms,
            st.sampled_from(ZONES[zone][1]),
            st.integers(-200, 200),
            st.sampled_from([0, 1, 59_999]),
        )
        | st.integers(unix_ms("2026-01-02T00:00Z"), unix_ms("2026-12-30T00:00Z")),
    )
)


@fuzz_settings
@given(fields=FIELDS, zone_and_time=NEAR_A_CHANGE)
@example(fields={"times": times("02:00-03:00")}, zone_and_time=("Europe/Berlin", unix_ms("2026-03-29T01:00Z")))
@example(fields={"times": times("01:30-02:00")}, zone_and_time=("Australia/Lord_Howe", unix_ms("2026-04-04T15:00Z")))
def test_an_interval_agrees_with_a_plain_model_over_both_changes_of_the_clock(fields, zone_and_time):
    zone, at = zone_and_time
    assert interval(location=zone, **fields).contains(at) is model_contains(fields, zone, at)


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("change", [0, 1])
def test_each_minute_around_a_change_of_the_clock_agrees_with_the_model(zone, change):
    parts = times("00:00-01:15", "01:45-02:10", "02:30-03:00")
    built, middle = interval(location=zone, times=parts), unix_ms(ZONES[zone][1][change][0])
    found = [
        (built.contains(at), model_contains({"times": parts}, zone, at))
        for at in range(middle - 7_200_000, middle + 7_200_000, 60_000)
    ]
    assert {one for one, _ in found} == {True, False}
    assert all(one is other for one, other in found)


def test_a_skipped_local_time_never_matches_and_a_repeated_one_matches_twice():
    skipped = interval(location="Europe/Berlin", times=times("02:00-03:00"))
    night = range(unix_ms("2026-03-28T22:00Z"), unix_ms("2026-03-29T10:00Z"), 60_000)
    assert not any(skipped.contains(at) for at in night)
    night = range(unix_ms("2026-10-24T22:00Z"), unix_ms("2026-10-25T10:00Z"), 60_000)
    assert sum(skipped.contains(at) for at in night) == 120
    half = interval(location="Australia/Lord_Howe", times=times("01:30-02:00"))
    night = range(unix_ms("2026-04-04T10:00Z"), unix_ms("2026-04-04T20:00Z"), 60_000)
    assert sum(half.contains(at) for at in night) == 60


@pytest.mark.parametrize(
    ("fields", "inside", "outside"),
    [
        ({}, "2026-11-24T03:12Z", None),
        ({"times": times("03:00-04:00")}, "2026-11-24T03:59:59.999Z", "2026-11-24T04:00Z"),
        ({"times": times("18:00-24:00")}, "2026-11-24T23:59Z", "2026-11-25T00:00Z"),
        ({"weekdays": ["monday:friday"]}, "2026-11-27T12:00Z", "2026-11-28T12:00Z"),
        ({"weekdays": ["Saturday", "sunday"]}, "2026-11-29T12:00Z", "2026-11-30T12:00Z"),
        ({"weekdays": ["sunday:monday"]}, "2026-11-30T12:00Z", "2026-11-28T12:00Z"),
        ({"days_of_month": ["-3:-1"]}, "2026-11-28T12:00Z", "2026-11-27T12:00Z"),
        ({"days_of_month": ["29:31"]}, "2028-02-29T12:00Z", "2028-02-28T12:00Z"),
        ({"days_of_month": ["10:-10"]}, "2026-02-19T12:00Z", "2026-02-20T12:00Z"),
        ({"months": ["november:december"]}, "2026-12-31T12:00Z", "2026-10-31T12:00Z"),
        ({"months": ["1:3", "12"]}, "2026-12-31T12:00Z", "2026-11-30T12:00Z"),
        ({"years": ["2026:2027"]}, "2027-12-31T12:00Z", "2028-01-01T12:00Z"),
        ({"weekdays": ["tuesday"], "location": "Asia/Tokyo"}, "2026-11-23T15:00Z", "2026-11-24T15:00Z"),
    ],
)
def test_each_field_restricts_the_interval_as_in_alertmanager(fields, inside, outside):
    assert interval(**fields).contains(unix_ms(inside))
    assert outside is None or not interval(**fields).contains(unix_ms(outside))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"times": times("9:00-10:00")}, "'9:00' is not a time; write HH:MM"),
        ({"times": times("09:00-24:01")}, "'24:01' is not a time"),
        ({"times": times("22:00-06:00")}, "22:00 to 06:00 ends before it begins; for a night, write two parts"),
        ({"times": [{"start_time": "09:00"}]}, "Field required"),
        ({"weekdays": ["mondy"]}, "unknown name 'mondy'; did you mean \"monday\""),
        ({"weekdays": ["friday:monday"]}, "weeks begin on Sunday; write two ranges"),
        ({"weekdays": ["monday:"]}, "unknown name ''"),
        ({"days_of_month": ["0"]}, "'0' must be a number from -31 to 31 other than 0"),
        ({"days_of_month": ["-1:5"]}, "ends before it begins; negative days count from the end"),
        ({"days_of_month": ["5:1"]}, "ends before it begins"),
        ({"months": ["13"]}, "'13' must be a number from 1 to 12"),
        ({"months": ["december:january"]}, "ends before it begins; write two ranges"),
        ({"years": ["soon"]}, "'soon' must be a number from 1 to 9999"),
        ({"location": "Europe/Berln"}, 'unknown time zone "Europe/Berln"; did you mean "Europe/Berlin"'),
        ({"weekday": ["monday"]}, "Extra inputs are not permitted"),
    ],
)
def test_an_invalid_interval_is_refused_with_the_reason(fields, complaint):
    with pytest.raises(ValidationError, match=complaint):
        interval(**fields)


NIGHT = {"times": times("00:00-06:00", "20:00-24:00"), "location": "Europe/Berlin"}


def settings(*routes):
    receivers = [{"name": "console", "console": True}, {"name": "chat", "console": True}]
    return RouteSettings.model_validate({"time_intervals": {"night": NIGHT}, "routes": routes, "receivers": receivers})


def route(name, **fields):
    return {"name": name, "receivers": ["console"]} | fields


def test_a_muted_route_suppresses_and_ends_the_matching():
    step = RouteStep(settings(route("quiet", mute_times=["night"]), route("rest", receivers=["chat"])))
    assert run(step, alert(incident())) == [("console", 1, "suppressed", "muted by the time interval night")]
    morning = incident(revision=2, updated_at=unix_ms("2026-11-24T05:00Z"))
    assert run(step, alert(morning, 1)) == [("console", 2, "sent", "new to the receiver: P3 open")]


def test_a_route_is_silent_outside_its_active_times():
    step = RouteStep(settings(route("day", active_times=["night"])))
    noon = incident(updated_at=unix_ms("2026-11-24T12:00Z"))
    assert run(step, alert(noon)) == [("console", 1, "suppressed", "outside the active times night")]
    evening = incident(revision=2, updated_at=unix_ms("2026-11-24T20:00Z"))
    assert run(step, alert(evening, 1))[0][2] == "sent"


def test_a_receiver_of_two_routes_is_notified_by_the_one_that_is_not_muted():
    step = RouteStep(settings(route("quiet", mute_times=["night"], **{"continue": True}), route("loud")))
    step.step([alert(incident())])
    assert [dispatch.route for dispatch in step.take_pending()] == ["loud"]


def test_nested_routes_do_not_inherit_times():
    step = RouteStep(settings(route("quiet", mute_times=["night"], routes=[route("inner", matchers=["severity=P3"])])))
    assert run(step, alert(incident()))[0][2] == "sent"
    assert run(step, alert(incident(incident_id="b", severity="P4"), 1))[0][2] == "suppressed"


def test_a_change_is_held_back_by_the_route_that_sent_the_incident_even_if_no_route_matches():
    quiet = route("quiet", matchers=["severity=P2"], receivers=["chat"], mute_times=["night"])
    step = RouteStep(settings(quiet))
    day, night = unix_ms("2026-11-24T12:00Z"), unix_ms("2026-11-24T22:00Z")
    assert run(step, alert(incident(severity="P2", updated_at=day)))[0][2] == "sent"
    milder = incident(revision=2, severity="P3", updated_at=night)
    assert ("chat", 2, "suppressed", "muted by the time interval night") in run(step, alert(milder, 1))


@pytest.mark.parametrize("key", ["mute_times", "active_times"])
def test_an_unknown_interval_is_refused_with_the_nearest_known_name(key):
    with pytest.raises(ValidationError, match="route 'a': unknown time interval 'nigth'; did you mean \"night\""):
        settings(route("a", **{key: ["nigth"]}))
    with pytest.raises(ValidationError, match="unknown time interval 'x'; add it to"):
        RouteSettings.model_validate({"routes": [route("a", **{key: ["x"]})]})
