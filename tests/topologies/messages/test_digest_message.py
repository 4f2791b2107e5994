from tests.topologies.messages.digests import SILENCED, digest, dispatch, listed, section
from topologies.messages import render_text, write_digest


def test_a_digest_is_one_line_per_incident():
    message = write_digest(dispatch())
    assert message.headline == "Digest morning: 1 P4, 1 P3 open for longer than a day, 1 suppressed"
    assert render_text(message).splitlines() == [
        "Since: 2026-11-24 03:12:00Z",
        f"Suppressed: support-bot refuses 9.1 % of requests (P2 open, began 2026-11-24 03:12:00Z, inc-3): {SILENCED.reason}",
        "P3 open for longer than a day: support-bot refuses 9.1 % of requests (open, began 2026-11-23 03:12:00Z, inc-2)",
        "P4: support-bot refuses 9.1 % of requests (open, began 2026-11-24 03:12:00Z, inc-1)",
        "",
        "Show all incidents:",
        "    driftwire incidents",
    ]


def test_times_are_given_in_the_zone_of_the_readers_too():
    facts = write_digest(dispatch(time_zone="Europe/Berlin")).facts
    assert facts[0].text == "2026-11-24 03:12:00Z (04:12 CET)"
    assert facts[3].text.endswith("(open, began 2026-11-24 03:12:00Z (04:12 CET), inc-1)")


def test_a_long_section_states_how_many_incidents_are_left_out():
    content = digest(p4=section(*[listed()] * 50, total=60), stale_p3=section(), suppressed=section())
    facts = write_digest(dispatch(content)).facts
    assert len(facts) == 1 + 15 + 1
    assert facts[-1].text == "and 45 more"
