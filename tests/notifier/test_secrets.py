"""Secrets at rest: sealed to their row."""

from pathlib import Path

import pytest

from monitors.mesh.masking import Secret
from monitors.mesh.master_keys import key_ring
from monitors.mesh.secrets import SealBroken, Sealer


def test_what_is_sealed_opens_in_its_own_row_only(tmp_path: Path) -> None:
    sealer = Sealer(key_ring((), tmp_path / "keys" / "master.key"))
    sealed = sealer.seal(b"whsec_x", "acme|channels|chan_1|sealed")
    assert b"whsec_x" not in sealed
    assert sealer.seal(b"whsec_x", "acme|channels|chan_1|sealed") != sealed
    again = Sealer(key_ring((), tmp_path / "keys" / "master.key"))
    assert again.open(sealed, "acme|channels|chan_1|sealed") == b"whsec_x"
    with pytest.raises(SealBroken):
        again.open(sealed, "globex|channels|chan_1|sealed")
    with pytest.raises(SealBroken):
        again.open(sealed[:-1] + bytes([sealed[-1] ^ 1]), "acme|channels|chan_1|sealed")
    with pytest.raises(SealBroken):
        again.open(b"", "acme|channels|chan_1|sealed")
    with pytest.raises(SealBroken):
        Sealer(key_ring((), tmp_path / "other.key")).open(sealed, "acme|channels|chan_1|sealed")


def test_the_key_file_belongs_to_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    Sealer(key_ring((), path))
    assert (path.stat().st_mode & 0o777, path.stat().st_size) == (0o600, 32)
    assert list(tmp_path.iterdir()) == [path]


def test_a_damaged_key_file_is_named_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    path.write_bytes(b"short")
    with pytest.raises(match=r"master\.key has 5 bytes"):
        Sealer(key_ring((), path))
    assert path.read_bytes() == b"short"


def test_a_fingerprint_tells_one_secret_from_another(tmp_path: Path) -> None:
    secret = Secret("https://hooks.slack.com/services/T/B/canary")
    sealer = Sealer(key_ring((), tmp_path / "master.key"))
    assert len(sealer.fingerprint(secret)) == 8
    assert sealer.fingerprint(secret) == Sealer(key_ring((), tmp_path / "master.key")).fingerprint(secret)
    assert sealer.fingerprint(secret) != sealer.fingerprint(Secret("another"))
