"""Master keys: read from a variable or a file, refused by name, and never told."""

import base64
from pathlib import Path

import pytest

from monitors.mesh.config import BadSetting, load_settings
from monitors.mesh.master_keys import FILE_KEY, KeyUnusable, MasterKey, key_ring, read_keys

A, B = b"a" * 32, b"b" * 31 + b"\xff"
TEXT_A, TEXT_B = base64.b64encode(A).decode(), base64.urlsafe_b64encode(B).decode()


def test_keys_are_given_in_a_variable(tmp_path: Path) -> None:
    settings = load_settings({"MONITORS_MASTER_KEYS": f" 2027:{TEXT_B}, 2026:{TEXT_A} ,", "MONITORS_HOME": "/h"})
    assert settings.notifier.master_keys == (MasterKey("2027", B), MasterKey("2026", A))
    assert settings.notifier.master_key_file == Path("/h/master.key")
    assert load_settings({}).notifier.master_keys == ()


def test_keys_are_given_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"2027:{TEXT_B}\n2026:{TEXT_A}\n")
    assert [key.name for key in load_settings({"MONITORS_MASTER_KEYS_FILE": str(file)}).notifier.master_keys] == [
        "2027",
        "2026",
    ]


@pytest.mark.parametrize(
    "text",
    [
        TEXT_A,
        f"canary{TEXT_A}",
        f"2026:{TEXT_A[:-8]}",
        f"2026:{TEXT_A}canary",
        "2026:canary",
        f"canary key:{TEXT_A}",
        f":{TEXT_A}",
        f"{FILE_KEY}:{TEXT_A}",
        f"a:{TEXT_A},a:{TEXT_B}",
        f"a:{TEXT_A},b:{TEXT_A}",
        ",".join(f"k{number}:{base64.b64encode(bytes([number]) * 32).decode()}" for number in range(17)),
        "é:canary",
    ],
)
@pytest.mark.parametrize("by_file", [False, True])
def test_a_wrong_key_is_refused_by_the_variables_name_without_a_byte_of_it(
    tmp_path: Path, text: str, by_file: bool
) -> None:
    name = "MONITORS_MASTER_KEYS_FILE" if by_file else "MONITORS_MASTER_KEYS"
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(BadSetting) as raised:
        load_settings({name: str(file) if by_file else text})
    told = str(raised.value)
    assert told.startswith(f"{name} ")
    assert "canary" not in told
    for size in range(4, 9):
        assert not any(TEXT_A[start : start + size] in told for start in range(0, 24, 4) if set(TEXT_A[start:]) > {"="})


def test_a_file_that_holds_no_keys_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff" * 32)
    for name, words in (("missing", "can't be read"), ("empty", "is empty"), ("binary", "base64")):
        with pytest.raises(BadSetting, match=f"MONITORS_MASTER_KEYS_FILE.*{words}"):
            load_settings({"MONITORS_MASTER_KEYS_FILE": str(tmp_path / name)})


def test_the_variable_and_the_file_are_not_given_both() -> None:
    with pytest.raises(BadSetting, match=r"MONITORS_MASTER_KEYS and MONITORS_MASTER_KEYS_FILE.*one of them"):
        load_settings({"MONITORS_MASTER_KEYS": f"a:{TEXT_A}", "MONITORS_MASTER_KEYS_FILE": "/x"})


def test_a_key_never_prints_itself() -> None:
    (key,) = read_keys(f"2026:{TEXT_A}")
    settings = load_settings({"MONITORS_MASTER_KEYS": f"2026:{TEXT_A}"})
    for shown in (repr(key), str(key), repr(settings)):
        assert "2026" in shown
        assert TEXT_A[:6] not in shown
        assert "aaaa" not in shown


def test_the_file_is_made_only_where_no_key_is_given(tmp_path: Path) -> None:
    file, given = tmp_path / "master.key", (MasterKey("a", A),)
    assert key_ring(given, file) == given
    assert not file.exists()
    (made,) = key_ring((), file)
    assert made == MasterKey(FILE_KEY, file.read_bytes())
    assert key_ring(given, file) == (*given, made)
    assert key_ring((MasterKey("a", made.key),), file) == (MasterKey("a", made.key),)
    file.write_bytes(b"short")
    with pytest.raises(KeyUnusable, match="5 bytes"):
        key_ring(given, file)
