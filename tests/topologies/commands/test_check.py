"""``driftwire check`` reports whether a configuration is valid, what it changes, and what a restart would reset."""

import asyncio
import json

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from click.testing import CliRunner

from pipeline.codec import FORMAT
from pipeline.correlate.settings import CorrelateSettings
from pipeline.correlate.step import CorrelateStep
from pipeline.step import RawMessage
from schemas.topics import DRIFTS, NOTIFICATIONS, TOPICS, checkpoints_topic
from tests.pipeline.detect.streams import START_MS
from tests.pipeline.detect.test_settings_change import BEFORE, run
from tests.topologies.endpoint import run_endpoint
from topologies.commands.check import command

NO_BROKER = "127.0.0.1:1"
NO_ANSWER = f"no Kafka broker answers at {NO_BROKER}: start a broker with driftwire up, or give another address with --bootstrap"


def check(*arguments, bootstrap=NO_BROKER):
    return CliRunner().invoke(command, [*(str(argument) for argument in arguments), "--bootstrap", bootstrap])


def test_a_valid_file_is_ok_and_its_changes_are_listed(tmp_path):
    path = tmp_path / "driftwire.toml"
    path.write_text("[detect]\nslices = 96\n[broker]\nport = 9999\n")
    result = check(path)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{path}: ok",
        "  changed from the defaults: broker.port, detect.slices",
        "  receivers: console (console)",
        f"  state: not checked; {NO_ANSWER}",
    ]


def test_an_invalid_file_prints_one_line_per_problem_and_ends_with_status_1(tmp_path):
    path = tmp_path / "driftwire.toml"
    path.write_text("[detect]\nslicse = 96\n[broker]\nport = -1\n")
    result = check(path)
    assert result.exit_code == 1
    assert sorted(result.output.splitlines()) == [
        f"{path}: broker.port: must be at least 0, not -1",
        f"{path}: detect.slicse: unknown key; did you mean detect.slices?",
    ]


def test_without_an_argument_it_checks_driftwire_toml(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = check()
    assert result.exit_code == 1
    assert result.output == (
        "driftwire.toml: cannot be read (No such file or directory); check the path and its permissions\n"
    )


def test_with_json_the_problems_are_in_one_object(tmp_path):
    path = tmp_path / "driftwire.toml"
    path.write_text("[detect]\nslicse = 96\n")
    result = check(path, "--json")
    assert result.exit_code == 1
    assert json.loads(result.output) == {
        "file": str(path),
        "problems": [f"{path}: detect.slicse: unknown key; did you mean detect.slices?"],
    }


def test_routes_without_effect_are_problems(tmp_path):
    path = tmp_path / "driftwire.toml"
    path.write_text('[[route.routes]]\nname = "a"\nmatchers = ["layer=safty"]\nreceivers = ["console"]\n')
    line = f'{path}: route.routes[0].matchers: no incident has layer="safty"; did you mean "safety"?'
    result = check(path)
    assert (result.exit_code, result.output.splitlines()) == (1, [line])
    result = check(path, "--json")
    assert (result.exit_code, json.loads(result.output)) == (1, {"file": str(path), "problems": [line]})


def test_the_example_file_has_no_problems():
    assert check("driftwire.example.toml").exit_code == 0


def test_with_json_a_valid_file_without_a_broker_says_that_the_state_was_not_checked(tmp_path):
    path = tmp_path / "driftwire.toml"
    path.write_text("[detect]\nslices = 96\n")
    content = json.loads(check(path, "--json").output)
    assert (content["problems"], content["changed"], content["state"]) == ([], ["detect.slices"], None)
    assert content["not_checked"] == NO_ANSWER


def write_hook(path, url):
    path.write_text(f'route.default_receivers = ["hook"]\n[[route.receivers]]\nname = "hook"\nwebhook.url = "{url}"\n')


def test_a_secret_that_is_missing_is_a_problem(tmp_path, monkeypatch):
    path = tmp_path / "driftwire.toml"
    write_hook(path, "${HOOK_URL}")
    line = f"{path}: route.receivers[0].webhook: cannot use url: the environment variable HOOK_URL is not set"
    result = check(path)
    assert (result.exit_code, result.output.splitlines()) == (1, [line])
    monkeypatch.setenv("HOOK_URL", "https://example.org/s3cret")
    result = check(path)
    assert result.exit_code == 0
    assert "s3cret" not in result.output


async def test_connect_says_what_does_not_answer_with_status_1(tmp_path):
    path = tmp_path / "driftwire.toml"
    async with run_endpoint() as endpoint:
        write_hook(path, endpoint.url)
        result = await asyncio.to_thread(check, path, "--connect")
        as_json = await asyncio.to_thread(check, path, "--connect", "--json")
    assert (result.exit_code, as_json.exit_code) == (1, 1)
    assert result.output.splitlines()[0] == f"{path}: ok"
    assert result.output.splitlines()[-3:] == [
        "  connections:",
        f"    Kafka at {NO_BROKER}: {NO_ANSWER}",
        f"    receiver hook, {endpoint.url.removesuffix('/in')}: ok",
    ]
    assert json.loads(as_json.output)["connections"] == [
        {"target": f"Kafka at {NO_BROKER}", "problem": NO_ANSWER},
        {"target": f"receiver hook, {endpoint.url.removesuffix('/in')}", "problem": None},
    ]
    assert endpoint.requests == []


async def write_checkpoint(broker, step, partition, parts):
    async with AIOKafkaProducer(**broker.cluster.client_options()) as producer:
        for key, value in parts:
            await producer.send_and_wait(checkpoints_topic(step), value, key, partition=partition)


@pytest.mark.kafka
class TestState:
    """Effect of a restart on the state in Kafka."""

    @pytest.fixture
    def written(self, tmp_path, empty_broker):
        """A file with two changed settings, and a broker with the state of detect and correlate."""
        step, outputs = run(BEFORE, failing=True)
        correlate = CorrelateStep(CorrelateSettings())
        drifts = [output for output in outputs if output.topic == DRIFTS]
        for offset, output in enumerate(drifts):
            correlate.step([RawMessage(DRIFTS, 0, offset, START_MS, output.key, output.value)])
        return tmp_path / "driftwire.toml", empty_broker, list(step.changed()), list(correlate.changed())

    async def test_each_kind_is_kept_or_reset_with_the_setting_that_is_the_cause(self, written):
        path, broker, detect, correlate = written
        await write_checkpoint(broker, "detect", 1, [*detect, (b"\x00offsets", b"{}")])
        await write_checkpoint(broker, "correlate", 0, correlate)
        path.write_text("[detect]\nduplicate_window = 512\nslices = 96\npage_rate_odds = 2.0\nsubjects_max = 7\n")
        result = await asyncio.to_thread(check, path, bootstrap=broker.bootstrap)
        assert result.exit_code == 0
        assert result.output.splitlines()[3:] == [
            f"  state at {broker.bootstrap}, if the workers restart with this file:",
            "    detect evidence: reset for 1 subject, because page_rate_odds was 1.5 and is now 2",
            "    detect learner: reset for 1 subject, because slices was 48 and is now 96",
            "    detect adwin: kept for 1 subject",
            "    detect duplicates: kept for 2 subjects",
            "    detect history: kept for 2 subjects",
            "    detect monitor: kept for 1 subject",
            "    detect outcomes: kept for 2 subjects",
            "    detect partition: kept for 1 partition",
            "    detect rows: kept for 2 subjects",
            "    detect statistics: kept for 2 subjects",
            "    detect stream: kept for 2 subjects",
            *(line for line in result.output.splitlines() if line.startswith("    correlate ")),
        ]
        assert any(line.startswith("    correlate incident: kept for ") for line in result.output.splitlines())

    async def test_json_has_an_object_per_step_and_kind(self, written):
        path, broker, detect, _ = written
        await write_checkpoint(broker, "detect", 1, detect)
        path.write_text("[detect]\nduplicate_window = 64\n")
        result = await asyncio.to_thread(check, path, "--json", bootstrap=broker.bootstrap)
        state = {row["kind"]: row for row in json.loads(result.output)["state"]}
        assert state["duplicates"] == {
            "step": "detect",
            "kind": "duplicates",
            "action": "reset",
            "owner": "subject",
            "owners": 2,
            "settings": ["duplicate_window"],
            "reason": "duplicate_window was 512 and is now 64",
        }
        assert {kind for kind, row in state.items() if row["action"] == "reset"} == {"duplicates"}

    async def test_the_state_of_a_newer_version_is_a_problem(self, written):
        path, broker, _, _ = written
        value = f'{{"format":{FORMAT + 1},"kind":"partition","settings":{{}},"state":{{}}}}'.encode()
        await write_checkpoint(broker, "detect", 2, [(b"partition/", value)])
        path.write_text("")
        result = await asyncio.to_thread(check, path, bootstrap=broker.bootstrap)
        assert result.exit_code == 1
        assert f"state of detect at {broker.bootstrap}: a newer version of driftwire wrote this state" in result.output

    async def test_connect_finds_the_topics_and_a_missing_one(self, written):
        path, broker, _, _ = written
        path.write_text("")
        result = await asyncio.to_thread(check, path, "--connect", bootstrap=broker.bootstrap)
        assert result.exit_code == 0, result.output
        lines = result.output.splitlines()
        assert lines[lines.index("  connections:") + 1 :] == [
            f"    Kafka at {broker.bootstrap}: ok",
            *(
                f"    topic {topic.name}: ok"
                for topic in sorted(TOPICS, key=lambda topic: topic.name)
                if topic.written_by != ("intake",)
            ),
        ]
        admin = AIOKafkaAdminClient(**broker.cluster.client_options())
        await admin.start()
        await admin.delete_topics([NOTIFICATIONS])
        await admin.close()
        path.write_text('[intake.topics."llm.requests"]\nsubject = "bot"\n')
        result = await asyncio.to_thread(check, path, "--connect", bootstrap=broker.bootstrap)
        assert result.exit_code == 1
        problems = [
            line for line in result.output.splitlines() if line.startswith("    topic ") and line[-4:] != ": ok"
        ]
        created = "missing; driftwire up or a worker creates it when it starts"
        assert problems == [
            f"    topic {checkpoints_topic('intake')}: {created}",
            f"    topic {NOTIFICATIONS}: {created}",
            "    topic llm.requests: missing; create it, or correct its name in [intake.topics]",
        ]

    async def test_a_broker_without_state_has_none(self, written):
        path, broker, _, _ = written
        path.write_text("")
        result = await asyncio.to_thread(check, path, bootstrap=broker.bootstrap)
        assert result.exit_code == 0
        assert result.output.splitlines()[-1] == "    none"
