"""Names from senders cannot control the terminal in any command output."""

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner
from rich.console import Console

from load.harness import Outcome
from load.traffic.outcome_tables import show_outcome
from pipeline.detect.settings import DetectSettings
from schemas.deployment import Deployment
from tests.hostile_names import HOSTILE, SUBJECT, is_plain
from tests.pipeline.correlate.builders import drift
from tests.pipeline.detect.test_step import BASELINE
from tests.pipeline.route.samples import evidence, incident, suspect
from topologies.baselines import render_baseline, render_explanation
from topologies.command_line import LazyGroup
from topologies.commands.deployed import _summary_line
from topologies.console import print_card, print_drafts, print_running_log
from topologies.terminal import echo, echo_json

ROOT = Path(__file__).parents[2]


def hostile_incident():
    fields = ("title", "summary", "severity_reason", "change", "runbook", "environment", "provider", "acknowledged_by")
    return incident(
        subject=SUBJECT,
        **dict.fromkeys((*fields, "commander", "severity_rule"), HOSTILE),
        segments=[HOSTILE],
        evidence=[evidence(HOSTILE, unit=HOSTILE, segments=[HOSTILE])],
        suspects=[suspect(kind=HOSTILE, name=HOSTILE, reason=HOSTILE, from_version=HOSTILE)],
        log=[{"at": "2026-11-24T03:12:41Z", "event": HOSTILE, "text": HOSTILE}],
        drafts=[{"audience": "external", "subject": HOSTILE, "text": HOSTILE}],
        containment=[{"rank": 1, "action": "rollback", "target": HOSTILE, "reason": HOSTILE}],
        duties=[{"regime": HOSTILE, "name": HOSTILE, "to": HOSTILE, "text": HOSTILE, "source": HOSTILE}],
    )


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("stream", [Terminal, io.StringIO])
@pytest.mark.parametrize("show", [print_card, print_running_log, print_drafts])
def test_a_card_a_log_and_a_draft_are_plain(show, stream):
    output = stream()
    show(hostile_incident(), output)
    assert "gpj.exe" in output.getvalue()
    assert is_plain(output.getvalue())


@pytest.mark.parametrize(
    "rendered",
    [
        lambda: render_baseline(
            BASELINE.model_copy(
                update={
                    "subject": SUBJECT,
                    "baseline_version": HOSTILE,
                    "signals": {HOSTILE: next(iter(BASELINE.signals.values()))},
                }
            ),
            DetectSettings(),
            200,
        ),
        lambda: render_explanation(SimpleNamespace(subject=HOSTILE, records=1, baseline=None), ()),
    ],
)
def test_a_baseline_and_an_explanation_are_plain(rendered):
    output = Terminal()
    Console(file=output, width=200).print(rendered())
    assert "gpj.exe" in output.getvalue()
    assert is_plain(output.getvalue())


def test_the_outcome_of_a_run_is_plain():
    output = Terminal()
    fired = drift().model_copy(update={"subject": SUBJECT, "signal": HOSTILE, "channel": HOSTILE})
    learned = BASELINE.model_copy(update={"subject": SUBJECT})
    show_outcome(Outcome([hostile_incident()], [fired], {}, [learned]), Console(file=output, width=200))
    assert output.getvalue().count("gpj.exe") > 4
    assert is_plain(output.getvalue())


def output_of(function, *arguments):
    return CliRunner().invoke(click.Command("c", callback=lambda: function(*arguments))).stdout


def test_a_line_of_a_command_is_plain():
    names = dict.fromkeys(("deployment_id", "name", "to_version", "environment"), HOSTILE)
    deployment = Deployment(kind="flag", timestamp=1_795_489_920_000, subject=SUBJECT, **names)
    printed = output_of(echo, _summary_line(deployment))
    assert is_plain(printed)
    assert printed.count("\n") == 1


def test_json_for_programs_is_escaped_and_has_the_same_content():
    sent = hostile_incident().to_json()
    printed = output_of(echo_json, sent)
    assert is_plain(printed)
    assert json.loads(printed) == json.loads(sent)


def test_an_error_of_a_command_is_plain():
    @click.command()
    def failing():
        raise click.UsageError(f"{HOSTILE} matches 2 incidents: {HOSTILE}")

    group = LazyGroup("g", package="none", help_lines={"failing": ""})
    group.get_command = lambda *_: failing
    result = CliRunner().invoke(group, ["failing"])
    assert "gpj.exe" in result.stderr
    assert is_plain(result.stderr)


@pytest.mark.parametrize("folder", ["topologies", "load/commands"])
def test_commands_print_through_one_function(folder):
    direct = re.compile(r"click\.(secho|echo)\b")
    users = {path for path in (ROOT / folder).rglob("*.py") if direct.search(path.read_text("utf-8"))}
    assert users <= {ROOT / "topologies" / "terminal.py"}
