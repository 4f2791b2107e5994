"""Certificates for tests, created with the openssl command: one authority, and broker and client certificates."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

DAYS = 2


@dataclass(frozen=True)
class Certificate:
    """Paths of a certificate and of its private key."""

    certificate: Path
    key: Path


def make_authority(folder: Path, name: str = "authority") -> Certificate:
    """Make a certificate authority."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    _openssl("req", "-x509", *_new_key(made.key), "-out", made.certificate, "-days", DAYS, "-subj", f"/CN={name}")
    return made


def make_certificate(folder: Path, authority: Certificate, name: str, hosts: str = "") -> Certificate:
    """Create a certificate for a common name, and for hosts such as ``IP:127.0.0.1``."""
    made = Certificate(folder / f"{name}.pem", folder / f"{name}.key")
    request, extensions = folder / f"{name}.csr", folder / f"{name}.ext"
    extensions.write_text(f"subjectAltName={hosts}\n" if hosts else "")
    _openssl("req", "-new", *_new_key(made.key), "-out", request, "-subj", f"/CN={name}")
    _openssl(
        *("x509", "-req", "-in", request, "-out", made.certificate, "-days", DAYS, "-extfile", extensions),
        *("-CA", authority.certificate, "-CAkey", authority.key, "-CAcreateserial"),
    )
    return made


def encrypt_key(key: Path, password: str) -> Path:
    """Write an encrypted copy of a private key."""
    encrypted = key.with_suffix(".encrypted")
    _openssl("pkcs8", "-topk8", "-in", key, "-out", encrypted, "-passout", f"pass:{password}")
    return encrypted


def _new_key(path: Path) -> tuple[object, ...]:
    return ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", path)


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
