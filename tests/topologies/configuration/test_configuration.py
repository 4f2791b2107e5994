"""A configuration is loaded in full or rejected, with one line per problem."""

import stat
import tomllib
from pathlib import Path

import pytest

from topologies.configuration.configuration import (
    Configuration,
    ConfigurationError,
    load_configuration,
    write_configuration,
)
from topologies.configuration.problems import known_keys
from topologies.kafka import Cluster
from topologies.kafka_security import SecuritySettings

REJECTED = sorted((Path(__file__).parent).glob("*.toml"))
EXAMPLE = Path(__file__).parents[3] / "driftwire.example.toml"
COMMENTED_KEYS = (
    "intake",
    "http",
    "metrics",
    "route.routes.",
    "route.labels.",
    "route.inhibit.",
    "route.escalations.",
    "route.digests.",
    "route.time_intervals.",
    "correlate.severity_rules.",
    "correlate.severity_adjustments.",
    "correlate.sla.",
    "detect.signals.",
    "correlate.response.",
    "route.receivers.webhook",
    "route.receivers.alertmanager",
    "route.receivers.slack",
    "route.receivers.github",
    "route.receivers.apprise",
    "route.receivers.pagerduty",
    "route.receivers.fallback",
    "route.receivers.messages_per_minute",
    "kafka.security.",
)


def problems(path):
    with pytest.raises(ConfigurationError) as error:
        load_configuration(path)
    assert all("\n" not in line for line in error.value.problems)
    return error.value.problems


@pytest.mark.parametrize("path", REJECTED, ids=lambda path: path.stem)
def test_a_broken_file_is_rejected_with_the_line_in_its_first_comment(path):
    expected = path.read_text().splitlines()[0].removeprefix("# rejects: ")
    (line,) = problems(path)
    assert line.startswith(f"{path}: ")
    assert expected in line


def test_all_problems_of_a_file_are_reported_at_once(tmp_path):
    path = tmp_path / "three.toml"
    path.write_text('[kafka]\nbootstap = "a:1"\nreplication_factor = 0\n[detect]\nslices = "many"\n')
    assert len(problems(path)) == 3


def test_a_secret_of_the_wrong_type_is_not_repeated(tmp_path):
    path = tmp_path / "secret.toml"
    path.write_text('[[route.receivers]]\nname = "hook"\nwebhook.url = "ftp://host/s3cret"\ntimeout_s = "s3cret"\n')
    assert "s3cret" not in "\n".join(problems(path))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (str, "cannot be read (No such file or directory); check the path and its permissions"),
        (lambda path: path.mkdir(), "cannot be read (Is a directory); check the path and its permissions"),
        (lambda path: path.write_bytes(b'[broker]\ndata = "\xff"'), "is not UTF-8 (byte 17); save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_reported_with_the_reason(tmp_path, make, problem):
    path = tmp_path / "driftwire.toml"
    make(path)
    assert problems(path) == [f"{path}: {problem}"]


def test_no_file_and_an_empty_file_give_the_defaults(tmp_path):
    (tmp_path / "empty.toml").touch()
    assert load_configuration(None) == load_configuration(tmp_path / "empty.toml") == Configuration()


def test_the_example_has_exactly_the_defaults():
    assert load_configuration(EXAMPLE) == Configuration()


def keys_in(table, prefix=""):
    for name, value in table.items():
        yield f"{prefix}{name}"
        for inner in value if isinstance(value, list) else [value]:
            if isinstance(inner, dict):
                yield from keys_in(inner, f"{prefix}{name}.")


def test_the_example_contains_every_key():
    example_keys = set(keys_in(tomllib.loads(EXAMPLE.read_text())))
    expected = {key for key in known_keys(Configuration) if not key.startswith(COMMENTED_KEYS)}
    assert expected - example_keys == set()
    comments = "\n".join(line for line in EXAMPLE.read_text().splitlines() if line.startswith("#"))
    for key in known_keys(Configuration):
        if key.startswith(COMMENTED_KEYS):
            assert key.rpartition(".")[2] in comments, key


def test_a_written_configuration_reads_back_equal_with_its_secrets(tmp_path):
    source = tmp_path / "driftwire.toml"
    source.write_text(
        '[[route.receivers]]\nname = "console"\nconsole = true\n[[route.receivers]]\nname = "hook"\n'
        'webhook.url = "https://host/s3cret"\nwebhook.headers.X-Token = "t0ken"\n[[route.routes]]\nname = "pages"\nreceivers = ["hook"]\ncontinue = true\n'
        '[[correlate.severity_rules]]\nname = "mine"\nseverity = "P2"\nreason = "so"\n'
    )
    configuration = load_configuration(source)
    path = tmp_path / "configuration.json"
    write_configuration(configuration, path)
    assert load_configuration(path) == configuration
    webhook = load_configuration(path).route.receivers[1].webhook
    assert webhook.url.get_secret_value() == "https://host/s3cret"
    assert webhook.headers["X-Token"].get_secret_value() == "t0ken"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_another_address_changes_nothing_else():
    moved = Configuration().with_bootstrap("elsewhere:9092")
    assert moved.kafka.bootstrap == "elsewhere:9092"
    assert moved.with_bootstrap("127.0.0.1:9092") == Configuration()


def test_the_security_settings_stay_with_another_address_and_change_with_another_cluster():
    security = SecuritySettings(protocol="ssl")
    secure = Configuration().with_cluster(Cluster("kafka:9093", security))
    assert secure.with_bootstrap("elsewhere:9093").kafka.cluster == Cluster("elsewhere:9093", security)
    assert secure.with_cluster(Cluster("127.0.0.1:9092")) == Configuration()


def test_rules_for_signals_of_one_name_and_of_a_pattern_may_both_apply(tmp_path):
    path = tmp_path / "rules.toml"
    path.write_text(
        '[[detect.signals]]\nsubject = "support-*"\nsignal = "custom.toxicity"\nbad_direction = "up"\nat_most = "page"\n'
        '[[detect.signals]]\nsignal = "custom.*"\nat_most = "cause"\nsmallest_relative_change = 0.1\n'
        '[[detect.signals]]\nsignal = "*_ms"\nsmallest_change = 20\n'
    )
    configuration = load_configuration(path)
    assert [rule.keys for rule in configuration.detect.signals] == [
        ["bad_direction", "at_most"],
        ["at_most", "smallest_relative_change"],
        ["smallest_change"],
    ]
    written = tmp_path / "configuration.json"
    write_configuration(configuration, written)
    assert load_configuration(written) == configuration


def test_an_sla_may_name_a_custom_signal(tmp_path):
    path = tmp_path / "sla.toml"
    path.write_text(
        '[[correlate.sla]]\nsubject = "support-bot"\nsignal = "custom.toxicity"\nmaximum = 0.1\n'
        '[[correlate.sla]]\nsubject = "support-bot"\nsignal = "error"\nmaximum = 0.01\n'
    )
    assert len(load_configuration(path).correlate.sla) == 2


def test_every_sla_with_an_unknown_signal_is_reported(tmp_path):
    path = tmp_path / "sla.toml"
    sla = '[[correlate.sla]]\nsubject = "support-bot"\nsignal = "{}"\nmaximum = 0.1\n'
    path.write_text("".join(sla.format(name) for name in ("eror", "error", "refusd")))
    first, second = problems(path)
    assert "sla[0].signal" in first
    assert "sla[2].signal" in second
