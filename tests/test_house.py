"""House rules: one import direction, locks with hashes but no hosts, complete packaging, nothing of this machine."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest
import yaml
from click import Context, Option

from tests.import_contracts import face, rooms
from tests.test_docs import COMMANDS
from topologies.cli import COMMANDS as DRIFTWIRE
from topologies.cli import command
from topologies.configuration.configuration import load_configuration

ROOT = Path(__file__).parents[1]
ROOTS = ("schemas", "pipeline", "topologies", "load")
SOURCES = sorted(path for root in (*ROOTS, "client/driftwire_client") for path in (ROOT / root).rglob("*.py"))
LOCKS = sorted((ROOT / "requirements").glob("*.lock"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

CLOCKS = re.compile(r"\b(datetime|date)\.(now|utcnow|today)$|\brandom\.")

LINES_MAX = 400
"""Maximum lines per file."""


def name(path):
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", SOURCES, ids=name)
def test_a_file_says_what_it_is_and_is_not_too_long(path):
    text = path.read_text()
    assert ast.get_docstring(ast.parse(text)), "a module docstring"
    assert text.count("\n") <= LINES_MAX


@pytest.mark.parametrize("path", [p for p in SOURCES if p.parts[len(ROOT.parts)] in ("schemas", "pipeline")], ids=name)
def test_pure_code_reads_no_clock_no_randomness_and_no_environment(path):
    banned = {"time", "random", "secrets", "os", "uuid", "socket", "threading", "asyncio", "pickle", "subprocess"}
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            assert not {alias.name.partition(".")[0] for alias in node.names} & banned
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in banned
        if isinstance(node, ast.Attribute):
            assert not CLOCKS.search(ast.unparse(node)), ast.unparse(node)


STEPS = ("pipeline/detect", "pipeline/correlate", "pipeline/route", "pipeline/review", "topologies", "load")
"""Folders in which a reader finds a file by its name alone."""

NAMED_TWICE = {"topologies": ["intake.py", "route.py"]}
"""The workers of the steps intake and route, and the commands of the same names."""

ROOMS = [room for room in rooms(["schemas", "pipeline", "topologies", "load"]) if room != "load.bench.yardstick"]
"""Packages that hold modules only. The yardstick is run as it is."""

WITHOUT_FACE = {
    "schemas": "one message per file, imported by its file",
    "topologies.commands": "commands are loaded by their names",
    "load.commands": "commands are loaded by their names",
}

FILES_MAX = 12
FILES_EXCEPTIONS = {
    "schemas": "one file per message",
    "topologies.commands": "one file per command",
}

FACE_MAX = 8

RIDDLES = {
    *("of", "by", "at", "in", "on", "into", "beside", "between", "together", "aside"),
    *("told", "said", "kept", "joined", "walked", "shifted", "touched", "moved", "served", "lifted", "given", "ended"),
    *("each", "own", "place", "whole", "rest", "calm", "stir", "tell"),
}
"""Prepositions, participles and everyday words that mean nothing alone."""


def definitions(path, *kinds):
    return [node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, kinds)]


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_has_at_most_twelve_files(room):
    files = [path for path in (ROOT / room.replace(".", "/")).glob("*.py") if path.name != "__init__.py"]
    assert len(files) <= FILES_MAX or room in FILES_EXCEPTIONS


@pytest.mark.parametrize("room", [room for room in ROOMS if room not in WITHOUT_FACE])
def test_a_room_says_what_belongs_there_and_has_a_small_face(room):
    source = (ROOT / room.replace(".", "/") / "__init__.py").read_text()
    docstring = ast.get_docstring(ast.parse(source))
    assert docstring
    assert docstring.endswith(".")
    assert 1 <= len(face(room)) <= FACE_MAX


@pytest.mark.slow
def test_each_class_name_stands_for_one_thing():
    names = Counter(name for path in SOURCES for name in definitions(path, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("step", STEPS)
def test_each_file_name_stands_once_in_a_step(step):
    names = Counter(path.name for path in (ROOT / step).rglob("*.py") if path.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == NAMED_TWICE.get(step, [])


@pytest.mark.slow
def test_no_function_or_class_is_named_by_a_word_that_says_nothing_alone():
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    named = {f"{name(path)}: {found}" for path in SOURCES for found in definitions(path, *kinds) if found in RIDDLES}
    assert named == set()


def test_no_private_attribute_is_reached_by_a_string():
    for path in SOURCES:
        assert not re.search(r"[gs]etattr\([^()]*, f?[\"']_", path.read_text()), path


def test_no_private_module_of_a_dependency_is_imported_but_in_one_guarded_place():
    pattern = re.compile(r"^\s*(?:from|import) (?!__future__)[a-z]+(?:\.\w+)*\._\w+", re.MULTILINE)
    assert [name(path) for path in SOURCES if pattern.search(path.read_text())] == []


@pytest.mark.parametrize(("called", "help_command"), COMMANDS, ids=[called for called, _ in COMMANDS])
def test_help_texts_are_sentences(called, help_command):
    helps = [option.help for option in help_command.params if isinstance(option, Option)]
    for text in (help_command.help, *helps):
        sentences = re.sub(r"\s+\[default: .*\]$", "", " ".join(text.split()))
        assert re.fullmatch(r"[A-Z].*\.", sentences), (called, text)


def test_no_source_reads_a_pickle():
    for path in SOURCES:
        assert not re.search(r"^\s*(import|from) (pickle|marshal|shelve|dill)\b", path.read_text(), re.MULTILINE), path


def test_every_folder_of_code_is_a_package():
    for root in (*ROOTS, "tests"):
        for folder in {path.parent for path in (ROOT / root).rglob("*.py")}:
            assert (folder / "__init__.py").exists(), folder


def test_tests_are_never_packaged():
    found = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert sorted(found) == sorted(f"{root}*" for root in ROOTS)
    assert "Private :: Do Not Upload" in PROJECT["project"]["classifiers"]


@pytest.mark.parametrize("path", LOCKS, ids=name)
def test_a_lock_names_versions_and_hashes_and_no_host(path):
    text = path.read_text()
    assert "://" not in text
    assert "--index" not in text
    pinned = re.findall(r"^[a-z0-9][a-z0-9._-]*(?:\[[^\]]*\])?==\S+", text, re.MULTILINE)
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert len(pinned) == len(blocks) > 0
    assert all("--hash=sha256:" in block for block in blocks)


def test_every_dependency_is_in_the_lock():
    locked = {line.partition("==")[0] for line in (ROOT / "requirements/runtime.lock").read_text().splitlines()}
    for dependency in PROJECT["project"]["dependencies"]:
        assert re.match(r"[a-z0-9-]+", dependency)[0] in locked


def test_make_help_names_every_target():
    makefile = (ROOT / "Makefile").read_text()
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in re.findall(r"^\.PHONY: (\S+)", makefile, re.MULTILINE):
        assert re.search(rf"^  {target} +\S", done.stdout, re.MULTILINE), target


def test_the_build_server_runs_what_people_run():
    run = ROOT / ".ci/run"
    assert run.stat().st_mode & 0o111
    called = re.findall(r"^make (\S+)$", run.read_text(), re.MULTILINE)
    assert "test" in called
    assert "lint" in called
    workflow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())
    assert {"run": ".ci/run"} in workflow["jobs"]["ci"]["steps"]


def test_the_contracts_of_imports_hold():
    done = subprocess.run(
        [Path(sys.executable).with_name("lint-imports"), "--no-cache"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    assert "14 kept, 0 broken" in done.stdout


COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())


def test_compose_runs_each_step_with_a_command_that_exists():
    for step in ("detect", "correlate", "route"):
        service = COMPOSE["services"][step]
        called, *arguments = service["command"]
        assert called in DRIFTWIRE
        command.get_command(Context(command), called).make_context(called, list(arguments))
        assert arguments[0] == step
        assert service["depends_on"] == {"kafka": {"condition": "service_healthy"}}


def test_compose_mounts_a_configuration_that_is_right_and_has_twelve_partitions():
    (mount,) = COMPOSE["services"]["detect"]["volumes"]
    source, target, _ = mount.split(":")
    assert target in COMPOSE["services"]["detect"]["command"]
    kafka = load_configuration(ROOT / source).kafka
    assert kafka.records_partitions == 12
    assert kafka.bootstrap == "kafka:9092"
    assert COMPOSE["services"]["detect"]["deploy"]["replicas"] <= kafka.records_partitions


def test_compose_publishes_kafka_on_this_machine_alone_and_takes_the_largest_messages():
    kafka = COMPOSE["services"]["kafka"]
    assert kafka["ports"] == ["127.0.0.1:9092:9094"]
    assert kafka["image"] == "apache/kafka:4.3.1"
    assert int(kafka["environment"]["KAFKA_MESSAGE_MAX_BYTES"]) > 16 * 1024 * 1024


def test_the_image_copies_what_the_build_needs_and_is_not_run_as_root():
    text = (ROOT / "Dockerfile").read_text()
    for needed in (*ROOTS, "pyproject.toml", "README.md", "LICENSE", "requirements/runtime.lock"):
        assert re.search(rf"^COPY .*\b{re.escape(needed)}\b", text, re.MULTILINE), needed
    assert re.search(r"^USER (?!root)", text, re.MULTILINE)
    assert 'ENTRYPOINT ["driftwire"]' in text
