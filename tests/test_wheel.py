"""The wheel contains everything that the commands need, and works from another folder in another environment."""

import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*arguments, **settings):
    done = subprocess.run(
        [str(argument) for argument in arguments], check=False, capture_output=True, text=True, **settings
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    # A copy, because building writes beside the sources.
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for root in ("schemas", "pipeline", "topologies", "load", "tests"):
        shutil.copytree(ROOT / root, folder / root, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-c", "import setuptools.build_meta as build; build.build_wheel('out')", cwd=folder)
    (path,) = (folder / "out").glob("*.whl")
    return path


@pytest.mark.slow
def test_the_wheel_has_the_data_files_and_none_of_the_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for needed in (
        "topologies/broker/jars.lock",
        "pipeline/correlate/severity/rules.toml",
        "schemas/py.typed",
        "schemas/examples/record/full.json",
        "load/py.typed",
        "load/scenarios/refusals_up.toml",
    ):
        assert needed in names
    roots = {name.partition("/")[0] for name in names if ".dist-info" not in name}
    assert roots == {"schemas", "pipeline", "topologies", "load"}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_it_runs_from_another_folder_in_another_environment(wheel, tmp_path):
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", "--without-pip", environment)
    packages = Path(
        run(environment / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    zipfile.ZipFile(wheel).extractall(packages)
    # The dependencies are those of this environment; the project itself must come from the wheel alone.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    program = "import topologies, topologies.cli; print(topologies.__file__); topologies.cli.main()"
    # Without PYTHONPATH, which may name the sources.
    output = run(environment / "bin/python", "-E", "-c", program, "--version", cwd=tmp_path)
    where, version = output.splitlines()
    assert Path(where).is_relative_to(environment)
    assert version == "driftwire 0.1.0"
    example = ROOT / "driftwire.example.toml"
    checked = run(environment / "bin/python", "-E", "-m", "topologies.cli", "check", example, cwd=tmp_path)
    assert checked.startswith(f"{example}: ok")
