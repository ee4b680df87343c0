"""What of a process's environment, and of a file system, may decide what code root runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from pyknockd.system import trust

ROOT = Path(__file__).resolve().parents[3]
SHOW = """
import json, os
from pyknockd.system import trust
trust.withdraw_environment()
print(json.dumps([dict(os.environ), dict(trust.commands_environment()), trust.find_program("own")]))
"""


def shown(environment: dict[str, str]) -> tuple[dict[str, str], dict[str, str], str | None]:
    """What a process keeps of ``environment``, what its commands see, and where `own` is found."""
    words = [sys.executable, "-c", SHOW]
    done = subprocess.run(
        words, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    kept, given, found = json.loads(done.stdout)
    return kept, given, found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    program = tmp_path / "own"
    program.touch()
    program.chmod(0o755)
    return tmp_path


def test_a_process_keeps_only_what_names_no_code(folder: Path) -> None:
    given = {"HOME": "/h", "XTABLES_LIBDIR": "/x", "TZ": "UTC", "STATE_DIRECTORY": "/s"}
    kept, _, _ = shown({**given, "PATH": str(folder), "": "nameless"})
    assert kept.pop("LC_CTYPE", None) is None
    assert {name: value for name, value in kept.items() if name} == {
        "HOME": os.devnull,
        "PATH": trust.SYSTEM_PATH,
        "TZ": "UTC",
        "STATE_DIRECTORY": "/s",
    }


def test_commands_see_all_of_it_but_what_the_service_manager_says_to_the_daemon(
    folder: Path,
) -> None:
    given = {"HOME": "/h", "XTABLES_LIBDIR": "/x", "PATH": str(folder)}
    kept, seen, found = shown({**given, "NOTIFY_SOCKET": "/n", "WATCHDOG_USEC": "1"})
    assert {name: seen[name] for name in given} == given
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(seen)
    assert (kept["NOTIFY_SOCKET"], kept["WATCHDOG_USEC"]) == ("/n", "1")
    assert found == str(folder / "own")


def test_without_a_path_commands_get_the_shells_own() -> None:
    shell = ["/bin/sh", "-c", "echo $PATH"]
    said = subprocess.run(shell, env={}, capture_output=True, text=True, check=True).stdout
    _, seen, _ = shown({})
    assert seen["PATH"] == trust.SYSTEM_PATH == said.strip()


def test_a_process_that_kept_its_environment_shares_it_with_its_commands(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(folder))
    assert trust.commands_environment()["PATH"] == str(folder)
    assert trust.find_program("own") == str(folder / "own")
    assert trust.find_program("other") is None


@pytest.mark.parametrize("path", [".", ":/nonexistent"])
def test_a_program_in_the_current_folder_is_found_by_its_whole_path(
    folder: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("PATH", path)
    monkeypatch.chdir(folder)
    assert trust.find_program("own") == str(folder / "own")
    assert trust.find_program("./own") == str(folder / "own")


def test_what_looks_around_while_it_is_loaded_sees_no_folder_and_no_program(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", str(folder))
    with suppress(ImportError), trust.nowhere():
        assert os.getcwd() == "/"
        assert not any(Path(one).exists() for one in os.environ["PATH"].split(":"))
        raise ImportError
    assert os.getcwd() == str(folder)
    assert os.environ["PATH"] == str(folder)


def test_a_folder_that_is_gone_is_returned_to_all_the_same(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = folder / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with trust.nowhere():
        assert os.getcwd() == "/"
    with pytest.raises(FileNotFoundError):
        os.getcwd()


@pytest.mark.parametrize(
    ("mode", "changeable"), [(0o700, False), (0o755, False), (0o775, True), (0o777, True)]
)
def test_who_may_write_on_the_way_can_change_what_is_there(
    folder: Path, mode: int, changeable: bool
) -> None:
    inner = folder / "outer" / "inner"
    inner.mkdir(parents=True)
    folder.chmod(0o755)
    for place in (inner, inner.parent):
        place.chmod(mode)
        assert trust.others_can_change(inner) is changeable
        place.chmod(0o755)


def test_a_sticky_folder_protects_what_lies_in_it_and_not_itself(folder: Path) -> None:
    inner = folder / "shared" / "inner"
    inner.mkdir(parents=True)
    inner.parent.chmod(0o1777)
    assert not trust.others_can_change(inner)
    assert trust.others_can_change(inner.parent)


def test_what_belongs_to_another_can_be_changed_by_him(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root, to give something away")
    inner = folder / "his" / "inner"
    inner.mkdir(parents=True)
    os.chown(inner.parent, 65534, 65534)
    assert trust.others_can_change(inner)


def test_until_the_environment_is_withdrawn_nothing_is_loaded_that_heeds_it() -> None:
    script = (
        "import sys\n"
        "from pyknockd import cli\n"
        "ours = {*sys.stdlib_module_names, 'pyknockd', '__main__'}\n"
        "foreign = {name.partition('.')[0] for name in sys.modules} - ours\n"
        # Python's own way to OpenSSL, which loads what OPENSSL_CONF names.
        "print(*foreign, *{'_hashlib', '_ssl'} & set(sys.modules))\n"
    )
    words = [sys.executable, "-S", "-c", script]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
