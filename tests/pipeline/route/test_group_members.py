"""What a message says about the members of its group: nothing that is held back, nothing that is over, and nobody is lost."""

import pytest

from tests.pipeline.route.samples import silence
from tests.pipeline.route.test_grouping import RETRY, SENT, Run

HOUR_S = 3600


def told(run, **severities):
    """Tell the receiver of incidents, each with a severity."""
    for name, severity in severities.items():
        run.revise(name, severity=severity)
    run.tick(30)
    run.send()
    run.tick(400)


def take(run):
    (message,) = run.step.take_pending()
    return message


def others(message):
    return sorted(message.group_news.others)


def test_news_that_is_held_back_is_not_in_the_message_about_another_incident():
    run = Run()
    told(run, a="P3", b="P3")
    run.step.step([silence(at=run.now, until=run.now + HOUR_S * 1000, matchers=["incident_id=a"])])
    run.revise("a", severity="P1", title="a secret")
    run.revise("b", status="acknowledged")
    run.tick(30)
    message = take(run)
    assert [one.incident_id for one in message.incidents] == ["b"]
    assert others(message) == [("P3", "open")]


def test_an_end_that_is_held_back_is_not_in_the_message_about_another_incident():
    run = Run()
    told(run, a="P3", b="P3")
    run.step.step([silence(at=run.now, until=run.now + HOUR_S * 1000, matchers=["incident_id=a"])])
    run.revise("a", status="resolved")
    run.revise("b", severity="P2")
    run.tick(30)
    message = take(run)
    assert [one.incident_id for one in message.incidents] == ["b"]
    assert others(message) == []


def test_an_open_incident_whose_alert_is_no_longer_stored_counts_as_open():
    run = Run(stored_alerts_max=1)
    run.revise("a", severity="P1", status="acknowledged")
    run.tick(30)
    run.send()
    run.tick(400)
    run.revise("b")
    run.tick(30)
    run.send()
    run.tick(400)
    run.revise("b", status="resolved")
    run.tick(30)
    message = take(run)
    assert message.group_news.unchanged == ()
    assert others(message) == [("P1", "acknowledged")]


def test_an_incident_whose_end_the_receiver_refused_is_not_counted_as_open():
    run = Run()
    told(run, a="P3", b="P3")
    run.revise("a", status="resolved")
    run.tick(30)
    run.send(SENT.__class__("failed", "answered 404", 1))
    run.revise("b", severity="P2")
    run.tick(400)
    message = take(run)
    assert [one.incident_id for one in message.incidents] == ["b"]
    assert others(message) == []


def test_before_the_first_message_an_incident_goes_to_the_group_of_its_newest_labels():
    urgent = {"name": "urgent", "matchers": ["severity=P1"], "receivers": ["chat"], "group_wait_s": 0}
    run = Run(routes=[urgent], group_wait_s=600)
    run.revise("a", severity="P3")
    run.tick(5)
    run.revise("a", severity="P1")
    assert run.send() == [(["a"], [])]
    assert run.notes[-1].route == "urgent"


def test_after_an_attempt_an_incident_stays_in_its_group():
    run = Run(group_by=["severity"])
    run.revise("a", severity="P3")
    run.tick(30)
    first = take(run)
    run.use(run.step.record_delivery(first, RETRY))  # the receiver may have got it
    run.revise("a", severity="P1")
    run.tick(1)
    assert take(run).thread_id == first.thread_id


def test_the_end_of_an_incident_is_told_if_the_worker_crashed_after_its_first_message():
    run = Run()
    run.revise("a")
    run.tick(20)
    run.revise("b")
    run.tick(10)
    run.state |= dict(run.step.changed())
    assert [member.incident.incident_id for member in take(run).members] == ["a", "b"]  # sent, but not recorded
    run.restart()
    run.revise("b", status="resolved")
    run.tick(1)
    assert run.send() == [(["a", "b"], [])]


@pytest.mark.parametrize("in_flight", [False, True])
def test_a_clock_that_goes_back_a_day_stops_no_group(in_flight):
    run = Run(stored_alerts_max=1)
    told(run, a="P3")
    run.revise("b")  # the alert of a is no longer stored
    run.tick(30)
    message = take(run)
    if in_flight:
        run.tick(-24 * HOUR_S)
    run.use(run.step.record_delivery(message, SENT))
    run.tick(-24 * HOUR_S)
    run.revise("c")
    run.tick(300)
    assert run.send() == [(["c"], [])]


def test_a_failed_attempt_is_no_message_after_which_the_group_waits():
    run = Run()
    told(run, a="P3")
    run.revise("a", severity="P2")
    run.tick(30)
    assert run.send(RETRY) == [(["a"], [])]
    run.revise("a", severity="P3")  # the change is taken back, so nothing is owed
    run.revise("b")
    run.tick(30)
    assert run.send() == [(["b"], ["a"])]


def test_a_group_with_very_long_labels_is_sent():
    run = Run(group_by=["segment"])
    run.revise("a", segments=[f"tenant={number}{'x' * 150}" for number in range(400)])
    run.revise("b", segments=[f"tenant={number}{'x' * 150}" for number in range(401)])
    run.tick(30)
    assert run.send() == [(["a"], []), (["b"], [])]
    assert len(run.notes[-1].group) < 300


def test_what_is_over_leaves_nothing_behind():
    run = Run(group_by=["incident_id"], incidents_max=10)
    for number in range(50):
        run.revise(f"inc-{number}")
        run.tick(30)
        run.send()
        if number % 2:
            run.revise(f"inc-{number}", status="resolved")
            run.tick(400)
            run.send()
    assert len(run.step._outbox._groups) <= 10


def test_a_batch_has_at_most_twenty_notifications_or_one_message():
    run = Run(group_wait_s=0)
    for number in range(60):
        run.revise(f"inc-{number:02}", subject=f"subject-{number % 6}")
    for number in range(60, 90):
        run.revise(f"inc-{number:02}", subject="subject-9")
    run.tick(1)
    sizes = []
    while messages := run.step.take_pending():
        sizes.append([len(message.members) for message in messages])
        for message in messages:
            run.use(run.step.record_delivery(message, SENT))
    assert sizes == [[10, 10], [10, 10], [10, 10], [30]]
