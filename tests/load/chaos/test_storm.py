"""A storm is counted from the logs of the receivers, and a short one on a real Kafka loses nothing."""

import pytest

from load.chaos.receiver import Receipt
from load.chaos.storm.storm_incidents import PlannedRevision, plan_storm
from load.chaos.storm.storm_run import (
    MESSAGES_PER_MINUTE,
    RECEIVERS,
    StormReport,
    _count_receipts,
    _largest_minute,
    run_storm,
)

STARTED_MS = 1_795_489_920_000
PLAN = [PlannedRevision(0.0, "inc-storm-0", 1, "P3", "open"), PlannedRevision(1.0, "inc-storm-0", 2, "P1", "open")]
TOLD = [
    Receipt(0.0, "inc-storm-0:1:x", "inc-storm-0", 1, "P3", "open"),
    Receipt(1.0, "b", "inc-storm-0", 2, "P1", "open"),
]


def counted(log: list[Receipt], plan: list[PlannedRevision] = PLAN) -> StormReport:
    report = StormReport(1, 1)
    _count_receipts(report, dict.fromkeys(RECEIVERS, TOLD) | {"chat": log}, plan, {("inc-storm-0", "chat")})
    return report


def test_receivers_that_were_told_everything_are_no_problem():
    assert counted(TOLD).problems() == []
    assert counted(TOLD).sent == 6


@pytest.mark.parametrize(
    ("log", "problem"),
    [
        ([], "1 incidents were not announced to a receiver"),
        (TOLD[:1], "1 incidents have a newer state than the state that a receiver got"),
        (
            [*TOLD, Receipt(2.0, "c", "inc-storm-0", 2, "P1", "open")],
            "1 notifications were sent twice with different keys",
        ),
    ],
)
def test_what_a_receiver_did_not_get_as_it_should_is_a_problem(log, problem):
    assert counted(log).problems() == [problem]


def test_an_incident_that_was_over_before_the_message_of_its_group_is_no_problem():
    over = [PLAN[0], PlannedRevision(1.0, "inc-storm-0", 2, "P3", "resolved")]
    report = counted([], over)
    assert (report.unannounced, report.over_before_message) == (0, 1)


def test_more_messages_in_a_minute_than_the_limit_are_a_problem():
    limit = MESSAGES_PER_MINUTE
    assert _largest_minute([0.0, 59.0, 61.0, 118.0]) == 3
    assert StormReport(1, 1, largest_minute_of_chat=limit).problems() == []
    (problem,) = StormReport(1, 1, largest_minute_of_chat=limit + 1).problems()
    assert problem == f"chat got {limit + 1} messages in a minute, of at most {limit}"


def test_the_same_key_again_is_counted_and_no_problem():
    report = counted([*TOLD, TOLD[0]])
    assert (report.duplicates, report.problems()) == (1, [])


def test_a_storm_has_revisions_in_order():
    plan = plan_storm(3, 200, 20.0)
    assert len({planned.build(STARTED_MS).subject for planned in plan}) >= 50
    for name in {planned.incident_id for planned in plan}:
        mine = [planned.revision for planned in plan if planned.incident_id == name]
        assert mine == list(range(1, len(mine) + 1))


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_short_storm_with_two_kills_tells_every_receiver_the_newest_state():
    report = await run_storm(4, incidents=80, duration_s=15.0, kills=2)
    assert report.problems() == []
    assert (report.kills, report.seconds_to_nothing_owed is not None) == (2, True)
    assert report.sent_by_receiver["pager"] >= 80
    assert report.messages_by_receiver["chat"] < report.sent_by_receiver["chat"]
