"""Security settings: contradictions and unusable files are refused, and no secret is printed."""

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydantic import SecretStr

from tests.security.certificates import encrypt_key, make_authority
from topologies.cli import command
from topologies.configuration import ConfigurationError, load_configuration, write_configuration
from topologies.kafka_security import PASSWORD_VARIABLE, SecuritySettings

SECRET = "s3cret"

SCRAM = f'protocol = "sasl_ssl"\nmechanism = "SCRAM-SHA-512"\nusername = "ana"\npassword = "{SECRET}"\n'


def configuration_file(folder: Path, lines: str) -> Path:
    path = folder / "driftwire.toml"
    path.write_text(f"[kafka.security]\n{lines}")
    path.chmod(0o600)
    return path


def problems(path: Path) -> list[str]:
    with pytest.raises(ConfigurationError) as error:
        load_configuration(path)
    return [line.removeprefix(f"{path}: kafka.security.") for line in error.value.problems]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ('protocol = "tls"', "protocol: must be one of 'plaintext', 'ssl', 'sasl_plaintext', 'sasl_ssl'"),
        (
            'protocol = "sasl_ssl"',
            "mechanism: is required with protocol sasl_ssl; set it to one of PLAIN, SCRAM-SHA-256",
        ),
        ('mechanism = "PLAIN"', "mechanism: has no effect with protocol plaintext; remove it, or change the protocol"),
        ('ca_file = "ca.pem"', "ca_file: has no effect with protocol plaintext"),
        ('protocol = "ssl"\nusername = "ana"', "username: has no effect with protocol ssl"),
        ('protocol = "ssl"\ncertificate_file = "c.pem"', "certificate_file: needs key_file; add it"),
        ('protocol = "ssl"\nkey_file = "c.key"', "key_file: needs certificate_file; add it"),
        (f'protocol = "ssl"\nkey_password = "{SECRET}"', "key_password: needs key_file; add it"),
        ('protocol = "sasl_ssl"\nmechanism = "PLAIN"', "username: is required with mechanism PLAIN; add it"),
        (
            'protocol = "sasl_ssl"\nmechanism = "PLAIN"\nusername = "ana"',
            "password: is required with mechanism PLAIN; add password_file, or set the environment variable DRIFTWIRE_",
        ),
        (f'{SCRAM}password_file = "p"', "password_file: cannot be combined with password; remove one of them"),
        (f'{SCRAM}token_file = "t"', "token_file: has no effect with protocol sasl_ssl and mechanism SCRAM-SHA-512"),
        ('protocol = "sasl_ssl"\nmechanism = "OAUTHBEARER"', "token_file: is required with mechanism OAUTHBEARER"),
        ('protocol = "ssl"\nca_file = "no.pem"', "ca_file: no.pem cannot be read (No such file or directory)"),
    ],
)
def test_a_contradiction_is_refused_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, problem: str
) -> None:
    monkeypatch.chdir(tmp_path)
    found = problems(configuration_file(tmp_path, lines))
    assert any(problem in line for line in found), found
    assert SECRET not in "\n".join(found)


def test_files_that_are_no_certificates_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    (line,) = problems(configuration_file(tmp_path, f'protocol = "ssl"\nca_file = "{tmp_path}/empty.pem"'))
    assert line.startswith(f"ca_file: {tmp_path}/empty.pem contains no certificates in PEM format")


def test_an_encrypted_key_needs_its_password_and_nobody_is_asked_for_it(tmp_path: Path) -> None:
    made = make_authority(tmp_path)
    key = encrypt_key(made.key, SECRET)
    lines = f'protocol = "ssl"\ncertificate_file = "{made.certificate}"\nkey_file = "{key}"\n'
    for wrong in ("", 'key_password = "wr0ng"'):
        (line,) = problems(configuration_file(tmp_path, lines + wrong))
        assert line.startswith("certificate_file: ")
        assert "wr0ng" not in line
    load_configuration(configuration_file(tmp_path, f'{lines}key_password = "{SECRET}"'))
    other = make_authority(tmp_path, "other")
    mismatch = f'protocol = "ssl"\ncertificate_file = "{made.certificate}"\nkey_file = "{other.key}"\n'
    assert "key values mismatch" in problems(configuration_file(tmp_path, mismatch))[0]


def test_a_password_comes_from_the_variable_else_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "password").write_text("from the file\n")
    settings = SecuritySettings(
        protocol="sasl_plaintext", mechanism="PLAIN", username="ana", password_file=str(tmp_path / "password")
    )
    assert settings.client_options()["sasl_plain_password"] == "from the file"
    monkeypatch.setenv(PASSWORD_VARIABLE, SECRET)
    assert settings.client_options()["sasl_plain_password"] == SECRET
    monkeypatch.delenv(PASSWORD_VARIABLE)
    (tmp_path / "password").write_text("\n")
    assert settings.problems() == [f"kafka.security.password_file: {tmp_path}/password is empty"]


async def test_a_token_is_read_again_for_each_connection(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("first\n")
    settings = SecuritySettings(protocol="sasl_plaintext", mechanism="OAUTHBEARER", token_file=str(token))
    provider = settings.client_options()["sasl_oauth_token_provider"]
    assert await provider.token() == "first"
    token.write_text("second\n")
    assert await provider.token() == "second"


def test_a_broker_certificate_and_its_name_are_always_checked() -> None:
    context = SecuritySettings(protocol="ssl").client_options()["ssl_context"]
    assert context.check_hostname
    assert context.verify_mode.name == "CERT_REQUIRED"


def test_check_warns_about_secrets_that_everybody_can_read_and_prints_none(tmp_path: Path) -> None:
    path = configuration_file(tmp_path, SCRAM)
    safe = CliRunner().invoke(command, ["check", str(path)])
    assert safe.exit_code == 0
    assert "every user" not in safe.output
    path.chmod(0o644)
    warned = CliRunner().invoke(command, ["check", str(path)])
    assert warned.exit_code == 0
    assert f"kafka.security.password: every user of this machine can read {path}: restrict it" in warned.stderr
    assert SECRET not in safe.output + warned.output


def test_a_written_configuration_is_private_and_keeps_the_secret(tmp_path: Path) -> None:
    configuration = load_configuration(configuration_file(tmp_path, SCRAM))
    assert SECRET not in repr(configuration) + str(configuration) + repr(configuration.kafka.cluster)
    path = tmp_path / "configuration.json"
    write_configuration(configuration, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert json.loads(path.read_text())["kafka"]["security"]["password"] == SECRET
    assert load_configuration(path).kafka.security.password == SecretStr(SECRET)
