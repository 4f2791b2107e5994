import io

from pipeline.route.delivery import Dispatch
from pipeline.route.reasons import Reason
from tests.pipeline.route.samples import STARTED, alert, incident
from tests.topologies.messages import digests
from topologies.console.cards import plain_card
from topologies.receivers.console import ConsoleReceiver

DISPATCH = Dispatch(
    incident(),
    "console",
    "default",
    Reason("first_notification", "new to the receiver: P3 open"),
    alert(incident()),
    STARTED,
)


async def test_the_console_prints_the_card_and_returns_the_time():
    stream = io.StringIO()
    delivery = await ConsoleReceiver(stream, clock=lambda: 12.5).deliver(DISPATCH)
    assert stream.getvalue() == plain_card(incident()) + "\n"
    assert (delivery.outcome, delivery.attempts, delivery.sent_at) == ("sent", 1, 12_500)


async def test_a_closed_console_is_a_failed_delivery():
    stream = io.StringIO()
    stream.close()
    delivery = await ConsoleReceiver(stream, clock=lambda: 12.5).deliver(DISPATCH)
    assert (delivery.outcome, delivery.sent_at) == ("failed", None)
    assert delivery.reason == "cannot write to the console (ValueError)"


async def test_the_console_prints_a_digest_as_plain_text():
    stream = io.StringIO()
    delivery = await ConsoleReceiver(stream, clock=lambda: 12.5).deliver_notice(
        digests.dispatch(digests.hostile("\x1b[2J evil"))
    )
    assert (delivery.outcome, delivery.sent_at) == ("sent", 12_500)
    lines = stream.getvalue().splitlines()
    assert lines[0] == "Digest morning: 1 P4, 0 P3 open for longer than a day, 1 suppressed"
    assert lines[3].startswith(
        "Suppressed: \ufffd[2J evil (P4 open, began 2026-11-24 03:12:00Z, \ufffd[2J evil): silenced"
    )
