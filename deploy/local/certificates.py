"""An authority of our own, and short-lived certificates by it: for lines between programs of one owner, on one machine or several.

`python -m deploy.local.certificates FOLDER NAME=HOST[,HOST…] …` makes what is missing or past half of its life: `FOLDER/ca.pem` for
whoever connects, and for each NAME `FOLDER/NAME/certificate.pem` and `key.pem` for that server alone. Run it again in time and have the
servers read their files anew: nothing else changes while the authority lives. `FOLDER/authority-key.pem` signs: whoever has it can
pass for every server.
"""

from __future__ import annotations

import ipaddress
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from deploy.local.processes import write_private

AUTHORITY_LIVES = timedelta(days=365)
CERTIFICATE_LIVES = timedelta(days=30)
HERE = ("localhost", "127.0.0.1", "::1")
_BEFORE = timedelta(minutes=5)  # clocks differ


@dataclass(frozen=True, slots=True)
class Certificate:
    """A server's files: its certificate, its private key, and the authority's certificate."""

    certificate: Path
    key: Path
    authority: Path

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """`certificate.pem`, `key.pem` and `ca.pem`."""
        return self.certificate, self.key, self.authority


class Authority:
    """The authority whose files lie in `folder`, made when missing; its own key may lie elsewhere."""

    def __init__(self, folder: Path, *, key_file: Path | None = None, name: str = "Brown Paper's own authority") -> None:
        self.folder = folder.resolve()
        self.file = self.folder / "ca.pem"
        self._key_file = key_file or self.folder / "authority-key.pem"
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        if not self.file.exists():
            self._create()

    def issue(
        self,
        name: str,
        hosts: Sequence[str] = HERE,
        *,
        lives: timedelta = CERTIFICATE_LIVES,
        now: datetime | None = None,
    ) -> Certificate:
        """The certificate of the server `name` for these hosts' names and numbers; one that has more than half of its life before it stays."""
        at = now or datetime.now(UTC)
        folder = self.folder / name
        found = Certificate(folder / "certificate.pem", folder / "key.pem", self.file)
        if not found.certificate.exists() or _is_ageing(found.certificate, at):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = ec.generate_private_key(ec.SECP256R1())
            write_private(found.key, _pem(key))
            signed = self._signed(name, hosts, key.public_key(), at, lives)
            found.certificate.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
        return found

    def _create(self) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        at = datetime.now(UTC)
        builder = _builder(self._name, self._name, key.public_key(), at, AUTHORITY_LIVES)
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
        write_private(self._key_file, _pem(key))
        self.file.write_bytes(builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))

    def _signed(
        self, name: str, hosts: Sequence[str], key: ec.EllipticCurvePublicKey, at: datetime, lives: timedelta
    ) -> x509.Certificate:
        own = serialization.load_pem_private_key(self._key_file.read_bytes(), password=None)
        assert isinstance(own, ec.EllipticCurvePrivateKey)  # noqa: S101 - `_create` made it
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = x509.load_pem_x509_certificate(self.file.read_bytes()).subject
        builder = _builder(subject, issuer, key, at, lives)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_usage(signs_certificates=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName([_host(host) for host in hosts]), critical=False)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(own.public_key())
        return builder.add_extension(identifier, critical=False).sign(own, hashes.SHA256())


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, at: datetime, lives: timedelta
) -> x509.CertificateBuilder:
    builder = x509.CertificateBuilder(subject_name=subject, issuer_name=issuer, public_key=key)
    builder = builder.serial_number(x509.random_serial_number()).not_valid_before(at - _BEFORE).not_valid_after(at + lives)
    return builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _is_ageing(file: Path, at: datetime) -> bool:
    found = x509.load_pem_x509_certificate(file.read_bytes())
    return at > found.not_valid_before_utc + (found.not_valid_after_utc - found.not_valid_before_utc) / 2


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def main(arguments: Sequence[str]) -> None:
    """See the module. In the environment: `AUTHORITY_KEY_FILE`, where the authority's own key lies; `CERTIFICATES_GROUP`, the number of a group
    that may read the servers' keys (of the images' own users)."""
    if len(arguments) < 2 or not all("=" in word for word in arguments[1:]):
        sys.exit("usage: python -m deploy.local.certificates FOLDER NAME=HOST[,HOST…] …")
    key_file = os.environ.get("AUTHORITY_KEY_FILE")
    authority = Authority(Path(arguments[0]), key_file=Path(key_file) if key_file else None)
    group = os.environ.get("CERTIFICATES_GROUP")
    for word in arguments[1:]:
        name, _, hosts = word.partition("=")
        made = authority.issue(name, hosts.split(","))
        if group:
            made.key.parent.chmod(0o750)
            made.key.chmod(0o640)
            for path in (made.key.parent, made.key, made.certificate):
                os.chown(path, -1, int(group))
    if group:  # the others read the authority's certificate alone
        authority.folder.chmod(0o755)
        authority.file.chmod(0o644)


if __name__ == "__main__":
    main(sys.argv[1:])
