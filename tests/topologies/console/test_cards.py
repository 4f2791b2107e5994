import io
import re

import pytest
from rich.console import Console

from schemas.incident import Draft, Duty, ResponseTarget
from tests.pipeline.route.samples import STARTED, evidence, incident, suspect
from topologies.console.cards import (
    EVIDENCE_ROWS_MAX,
    SUSPECTS_MAX,
    WIDTH,
    plain_card,
    print_card,
    print_drafts,
    print_running_log,
    render_card,
)

EXPECTED_CARD = """\
 P3 OPEN  ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━
support-bot refuses 9.1 % of requests
support-bot refuses 9.1 % of requests, normally 1.0 %, since 03:12:00Z. Most
likely cause: prompt v41 -> v42, deployed 03:11:40Z, 20 s before the start.
First: roll back prompt to v41.

started   2026-11-24 03:12:00Z, detected 03:12:41Z (41 s later)
actions   1. rollback: prompt v42 -> v41 (the newest change before the start)
          2. kill switch: support-bot (off in five minutes, without a
          deployment)
suspects  1. prompt v41 -> v42, score 0.93: deployed 20 s before the start
due       classify 03:27:41Z, fix 2026-11-25 03:12:41Z
severity  P3 by rule quality_loss: users see the loss of quality, and the
          feature works
scope     production

signal   normal  value      effect  since      measured
refused   1.0 %  9.1 %  odds x9.91  03:12:00Z  at detection

runbook   docs/runbooks/refusal_spike.md
incident  inc-3f9a21c0b7  revision 1: opened
"""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def longest_incident():
    return incident(
        severity="P1",
        segments=[f"tenant=customer-{number}" for number in range(5)],
        provider="openai",
        evidence=[evidence(f"a_signal_with_a_very_long_name_{number}", segments=["region=x"]) for number in range(40)],
        suspects=[suspect(rank=number, name=f"package-{number}", reason="because " * 20) for number in range(1, 10)],
        acknowledged_by="ana",
        commander="ben",
    )


def test_the_card_of_a_refusal_spike():
    assert plain_card(incident()) == EXPECTED_CARD


@pytest.mark.parametrize("width", [40, 57, 80, 100, 200])
def test_no_line_of_a_card_is_wider_than_the_width(width):
    assert max(len(line) for line in plain_card(longest_incident(), width=width).splitlines()) <= width


def test_no_number_of_a_card_is_cut_at_any_width():
    rows = [
        evidence("latency_ms", unit="ms", channel="high_tail", normal=812_345.0, now=2_412_345.0, effect=15.0),
        evidence("index_age_s", unit="s", channel="location", normal=3600.0, now=90_000.0, effect=-0.49),
        evidence("throughput", channel="location", effect_kind="ratio", effect=0.00123, normal=50_000, now=61.5),
    ]
    widest = " ".join(plain_card(incident(evidence=rows, started_at=STARTED - 86_400_000), width=200).split())
    numbers = set(re.findall(r"[\d,.]*\d", widest[widest.index("signal normal") : widest.index("runbook")]))
    assert {"0.00123", "61.5"} <= numbers
    assert len(numbers) > 10
    for width in range(40, 121):
        text = plain_card(incident(evidence=rows, started_at=STARTED - 86_400_000), width=width)
        assert "…" not in text
        assert numbers <= set(re.findall(r"[\d,.]*\d", " ".join(text.split()))), (width, text)


def test_the_card_of_the_longest_incident_fits_one_screen():
    text = plain_card(longest_incident())
    assert len(text.splitlines()) <= 50
    assert f"and {40 - EVIDENCE_ROWS_MAX} more" in text
    assert text.count("dependency") + text.count("package-") == SUSPECTS_MAX


def test_actions_come_before_suspects_and_suspects_before_evidence():
    text = plain_card(incident())
    assert text.index("1. rollback") < text.index("1. prompt v41") < text.index("at detection")


def test_suspects_are_sorted_by_rank():
    swapped = incident(suspects=[suspect(rank=2, name="second", kind="flag"), suspect(rank=1)])
    assert "1. prompt v41 -> v42" in plain_card(swapped)
    assert "2. flag second" in plain_card(swapped)


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"name": "prompt"}, "1. prompt v41 -> v42, score"),
        ({"name": "prompt v41 -> v42"}, "1. prompt v41 -> v42, score"),
        ({"kind": "flag", "name": "rerank"}, "1. flag rerank v41 -> v42, score"),
        ({"name": "prompt", "from_version": None}, "1. prompt ? -> v42, score"),
        (
            {"kind": "provider_status", "name": "openai", "from_version": None, "to_version": None},
            "1. provider_status openai, score",
        ),
    ],
)
def test_a_suspect_is_named_by_kind_name_and_versions_without_repetition(changes, shown):
    assert shown in plain_card(incident(suspects=[suspect(**changes)]))


def test_values_have_readable_units():
    rows = [
        evidence(
            "index_age_s",
            unit="s",
            channel="location",
            effect_kind="rank_shift",
            effect=0.49,
            normal=3600.0,
            now=90_000.0,
        ),
        evidence("latency_ms", unit="ms", channel="high_tail", normal=812.0, now=2400.0, effect=15.0),
        evidence("throughput", channel="location", effect_kind="ratio", effect=0.5, normal=50.0, now=25.0),
    ]
    text = " ".join(plain_card(incident(evidence=rows)).split())
    assert "index_age_s 1 h 1 d 1 h rank +0.49 03:12:00Z" in text
    assert "latency_ms high_tail 812 ms 2,400 ms odds x15 03:12:00Z" in text
    assert "throughput 50 25 x0.5 03:12:00Z" in text


@pytest.mark.parametrize(
    ("changes", "measured"),
    [
        ({"measured_at": STARTED + 41_000}, "at detection"),
        ({"measured_at": STARTED + 600_000}, "03:22:00Z"),
        ({"measured_at": STARTED + 2 * 86_400_000}, "2026-11-26 03:12:00Z"),
        ({"measured_at": STARTED + 600_000, "state": "recovered"}, "recovered"),
        ({"measured_at": None}, "03:12:00Z"),
    ],
)
def test_the_card_shows_when_a_value_was_measured(changes, measured):
    text = plain_card(incident(evidence=[evidence("refused", **changes)]), width=100)
    [row] = [line for line in text.splitlines() if line.startswith("refused")]
    assert row.endswith(measured)


def test_a_resolved_incident_has_its_time_and_no_actions():
    ended = incident(revision=4, status="resolved", resolved_at=STARTED + 3_000_000, change="resolved")
    text = " ".join(plain_card(ended).split())
    assert text.startswith("P3 RESOLVED ")
    assert "resolved 04:02:00Z" in text
    assert "rollback" not in text
    assert "due" not in text


def target(name, minutes, done=None):
    done_at = None if done is None else STARTED + done * 60_000
    return ResponseTarget(name=name, due_at=STARTED + minutes * 60_000, done_at=done_at, source="playbook")


def test_response_targets_are_listed_as_overdue_due_and_done():
    targets = [target("review", 90), target("commander", 15), target("classify", 15, done=3), target("contain", 1)]
    text = plain_card(incident(response_targets=targets, updated_at=STARTED + 20 * 60_000))
    [rows] = re.findall(r"^(overdue .*)\n(due .*)\n(done .*)\n", text, re.MULTILINE)
    assert [row.split(maxsplit=1)[1] for row in rows] == [
        "contain 03:13:00Z, commander 03:27:00Z",
        "review 04:42:00Z",
        "classify 03:15:00Z",
    ]


def test_after_the_resolution_only_the_review_is_due():
    targets = [target("review", 90), target("contain", 1), target("classify", 15, done=3)]
    ended = incident(status="resolved", resolved_at=STARTED + 60_000, response_targets=targets)
    text = plain_card(ended)
    assert "due       review 04:42:00Z" in text
    assert "contain 03:13" not in text
    assert "classify" not in text


def test_duties_that_may_apply_are_listed_with_their_deadline():
    fields = {"regime": "gdpr", "to": "them", "text": "May apply: decide.", "source": "there"}
    duties = [Duty(name="Article 33", due_at=STARTED + 259_200_000, **fields), Duty(name="Article 34", **fields)]
    text = " ".join(plain_card(incident(duties=duties)).split())
    assert "duties may apply: Article 33 by 2026-11-27 03:12:00Z, Article 34 as soon as practicable" in text
    assert "duties" not in plain_card(incident())


def test_recovered_drifts_are_marked_and_come_last():
    rows = [
        evidence("thumbs_down", state="recovered"),
        evidence("input_length", tier="cause"),
        evidence("length", tier="ticket"),
        evidence("refused"),
    ]
    lines = plain_card(incident(evidence=rows)).splitlines()
    order = [line.split()[0] for line in lines[lines.index("") :] if "03:12:00Z  " in line]
    assert order == ["refused", "length", "input_length", "thumbs_down"]
    assert [line.endswith("recovered") for line in lines if line.startswith(("thumbs_down", "refused"))] == [
        False,
        True,
    ]


def test_an_incident_without_suspects_people_or_evidence_has_a_card():
    text = plain_card(incident(suspects=[], containment=[], evidence=[], response_targets=[], environment=None))
    assert "suspects" not in text
    assert "people" not in text
    assert "runbook" in text


@pytest.mark.parametrize(
    "hostile", ["\x1b[31mred\x1b[0m", "\x1b]8;;http://evil\x07link", "a\x9bb", "a\u202eb", "a\x00b"]
)
def test_a_label_cannot_control_the_terminal(hostile):
    fields = ("title", "summary", "technical_lead", "provider", "change")
    hostile_incident = incident(
        **dict.fromkeys(fields, hostile),
        segments=[hostile],
        evidence=[evidence(hostile)],
        suspects=[suspect(name=hostile, from_version=hostile)],
    )
    text = plain_card(hostile_incident)
    assert not set(text) & set("\x1b\x07\x9b\u202e\x00")
    assert text.count("\ufffd") >= 8
    terminal = Terminal()
    print_card(hostile_incident, terminal)
    assert "\x1b]8" not in terminal.getvalue()
    assert "\x1b[31m" not in terminal.getvalue()


def test_markup_in_a_label_is_text():
    assert "[bold red]x[/]" in plain_card(incident(title="[bold red]x[/]"))


def test_a_line_break_in_a_label_does_not_start_a_line():
    assert "one two" in plain_card(incident(title="one\ntwo"))


def test_a_terminal_gets_colours_and_a_pipe_gets_plain_text():
    terminal, pipe = Terminal(), io.StringIO()
    print_card(incident(severity="P1"), terminal)
    print_card(incident(severity="P1"), pipe)
    assert "\x1b[" in terminal.getvalue()
    assert pipe.getvalue() == plain_card(incident(severity="P1")) + "\n"


@pytest.mark.parametrize("severity", ["P1", "P2", "P3", "P4"])
def test_every_severity_has_a_card(severity):
    console = Console(file=io.StringIO(), width=WIDTH, record=True)
    console.print(render_card(incident(severity=severity)))
    assert console.export_text().startswith(f" {severity} OPEN ")


def test_the_running_log_has_times():
    stream = io.StringIO()
    print_running_log(incident(), stream)
    first, note = stream.getvalue().splitlines()
    assert first.split() == ["03:12:41Z", "opened:", "refused", "left", "its", "baseline"]
    assert note.strip() == "People's names come from their commands and are not verified."


def test_drafts_are_printed_in_full():
    stream = io.StringIO()
    print_drafts(incident(drafts=[Draft(audience="internal", subject="P1", text=f"DRAFT.\n\n{'long ' * 40}")]), stream)
    assert stream.getvalue() == f"--- internal ---\n\nP1\n\nDRAFT.\n\n{'long ' * 40}\n\n"


def test_a_draft_cannot_control_the_terminal():
    stream = io.StringIO()
    print_drafts(incident(drafts=[Draft(audience="external", subject="\x1b[31m", text="a\x9bb")]), stream)
    assert not set(stream.getvalue()) & set("\x1b\x9b")


def test_an_incident_without_drafts_prints_one_line():
    stream = io.StringIO()
    print_drafts(incident(severity="P4"), stream)
    assert stream.getvalue() == "no drafts: a P4 that is open needs no message\n"
