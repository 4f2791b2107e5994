"""``driftwire check`` reports whether a configuration is valid, and what it changes."""

from click.testing import CliRunner

from topologies.commands.check import command


def check(*arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_a_valid_file_is_ok_and_its_changes_are_listed(tmp_path):
    path = tmp_path / "driftwire.toml"
    path.write_text("[detect]\nslices = 96\n[broker]\nport = 9999\n")
    result = check(path)
    assert result.exit_code == 0
    assert result.output.splitlines() == [
        f"{path}: ok",
        "  changed from the defaults: broker.port, detect.slices",
        "  receivers: console (console)",
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
