"""The authority of our own: short lives, keys for their owner alone, and nothing younger than half of its life is made anew."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509

from deploy.local.certificates import CERTIFICATE_LIVES, Authority, main


def read(file: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(file.read_bytes())


def mode(file: Path) -> int:
    return stat.S_IMODE(file.stat().st_mode)


def test_a_certificate_is_of_its_hosts_and_its_authority_and_does_not_live_long(tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    made = authority.issue("broker", ["broker.example", "10.0.0.1"])
    found = read(made.certificate)
    names = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["broker.example"]
    assert [str(address) for address in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.1"]
    found.verify_directly_issued_by(read(authority.file))
    assert found.not_valid_after_utc - datetime.now(UTC) <= CERTIFICATE_LIVES
    assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert read(authority.file).extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert mode(made.key) == mode(tmp_path / "authority-key.pem") == 0o600


def test_it_is_made_anew_in_the_second_half_of_its_life_by_the_same_authority(tmp_path: Path) -> None:
    first = read(Authority(tmp_path).issue("data").certificate)
    authority = read(tmp_path / "ca.pem")
    for days, is_same in ((14, True), (16, False)):
        later = datetime.now(UTC) + timedelta(days=days)
        again = read(Authority(tmp_path).issue("data", now=later).certificate)
        assert (again == first) is is_same
    again.verify_directly_issued_by(authority)
    assert again.public_key() != first.public_key()


def test_the_command_makes_what_is_named_and_the_authoritys_key_may_lie_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AUTHORITY_KEY_FILE", str(tmp_path / "apart.pem"))
    main([str(tmp_path / "all"), "broker=broker,localhost", "data=data"])
    assert sorted(str(it.relative_to(tmp_path)) for it in tmp_path.rglob("*.pem")) == [
        *("all/broker/certificate.pem", "all/broker/key.pem", "all/ca.pem", "all/data/certificate.pem", "all/data/key.pem"),
        "apart.pem",
    ]
    with pytest.raises(SystemExit, match="usage"):
        main([str(tmp_path / "all"), "broker"])
