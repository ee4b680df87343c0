"""/etc/default/knockd as people write it: understood, or refused with its line. Boots nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.lab import ROOT


def _load() -> ModuleType:
    name = "knockd_options"
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        spec = spec_from_loader(
            name, SourceFileLoader(name, str(ROOT / "systemd" / "knockd-options"))
        )
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[name] = module  # its dataclasses look themselves up
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


helper = _load()

UNDERSTOOD = [
    # text, START_KNOCKD, the words of KNOCKD_OPTS
    ('START_KNOCKD=1\nKNOCKD_OPTS="-i eth1"\n', "1", ["-i", "eth1"]),
    ('START_KNOCKD=1\nKNOCKD_OPTS="-i eth1"', "1", ["-i", "eth1"]),
    ("START_KNOCKD=1   \n   \n", "1", None),
    ("START_KNOCKD=1 # on\n", "1", None),
    ("START_KNOCKD='1'\n", "1", None),
    ('START_KNOCKD="1"\n', "1", None),
    ("START_KNOCKD=0\nSTART_KNOCKD=1\n", "1", None),
    ("START_KNOCKD=1\r\nKNOCKD_OPTS=-v\r\n", "1", ["-v"]),
    ("\ufeffSTART_KNOCKD=1\n", "1", None),
    ("# START_KNOCKD=1\n", None, None),
    ("export START_KNOCKD=1\n", "1", None),
    ("START_KNOCKD = 1\n", "1", None),
    ("START_KNOCKD=yes\n", "yes", None),
    ("START_KNOCKD=\n", "", None),
    ("", None, None),
    ('KNOCKD_OPTS="-i ens33" # /!\\ la carte réseau /!\\\n', None, ["-i", "ens33"]),
    ('   KNOCKD_OPTS="-i eth0"  # the interface\n', None, ["-i", "eth0"]),
    ('KNOCKD_OPTS = "-i eth0"\n', None, ["-i", "eth0"]),
    ("KNOCKD_OPTS=-i eth0\n", None, ["-i", "eth0"]),
    ("KNOCKD_OPTS=-i\\ eth0\n", None, ["-i", "eth0"]),
    ('KNOCKD_OPTS=""\n', None, []),
    ('KNOCKD_OPTS="-i eth0 \\\n -v"\n', None, ["-i", "eth0", "-v"]),
    ('KNOCKD_OPTS="-i eth0\n-v"\n', None, ["-i", "eth0", "-v"]),
    ("KNOCKD_OPTS=\"-c '/etc/my doors'\"\n", None, ["-c", "/etc/my doors"]),
    ("KNOCKD_OPTS='-c \"/etc/my doors\"'\n", None, ["-c", "/etc/my doors"]),
    ('KNOCKD_OPTS="-i "eth0\n', None, ["-i", "eth0"]),
    ('KNOCKD_OPTS="-i eth0#1"\n', None, ["-i", "eth0#1"]),
    ('OPTIONS="-i eth1"\n', None, None),
    ("A=$(date)\nSTART_KNOCKD=1\n", "1", None),
    ("if true; then\nSTART_KNOCKD=1\nfi\n", "1", None),
]

REFUSED = [
    ('START_KNOCKD=1\nKNOCKD_OPTS="-i $CARD"\n', ":2: $ would need a shell"),
    ("KNOCKD_OPTS=`cat /etc/card`\n", ":1: ` would need a shell"),
    ('KNOCKD_OPTS="-i eth0"; START_KNOCKD=1\n', ":1: ; outside quotation marks"),
    ("START_KNOCKD=1 && true\n", ":1: & outside quotation marks"),
    ('KNOCKD_OPTS="-i eth0\n', ":1: a quotation mark is opened and never closed"),
    ("KNOCKD_OPTS='-i eth0\"\n", ":1: a quotation mark is opened and never closed"),
    ("[ -e /etc/x ] && START_KNOCKD=1\n", ":1: not a plain NAME=VALUE"),
    ("KNOCKD_OPTS+=' -v'\n", ":1: not a plain NAME=VALUE"),
    ('KNOCKD_OPTS="-c \'/etc/my"\n', "is opened and never closed"),
]


@pytest.fixture
def toggle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("START_KNOCKD", "KNOCKD_OPTS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "knockd"


@pytest.mark.parametrize(("text", "start", "options"), UNDERSTOOD)
def test_what_is_plain_is_understood(
    toggle: Path, text: str, start: str | None, options: list[str] | None
) -> None:
    toggle.write_bytes(text.encode())
    settings = helper.read(toggle)
    assert (settings.start, settings.options) == (start, options)


@pytest.mark.parametrize(("text", "reason"), REFUSED)
def test_what_needs_a_shell_is_refused_with_its_line(toggle: Path, text: str, reason: str) -> None:
    toggle.write_text(text)
    with pytest.raises(helper.FileError) as error:
        helper.read(toggle)
    assert reason in str(error.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("START_KNOCKD=0\n", "START_KNOCKD is 0 in"),
        ("START_KNOCKD=yes\n", "START_KNOCKD is yes in"),
        ("START_KNOCKD=\n", "START_KNOCKD is empty in"),
        ("", "START_KNOCKD is not set in"),
        ('OPTIONS="-i eth1"\n', "; OPTIONS= is not looked at, KNOCKD_OPTS= is;"),
        (None, "there is no such file in"),
    ],
)
def test_a_refusal_is_one_line_that_names_the_file(
    toggle: Path, text: str | None, reason: str
) -> None:
    if text is not None:
        toggle.write_text(text)
    line = helper.refusal(helper.read(toggle), toggle)
    assert reason.replace("there is no such file in", "there is no") in line
    assert str(toggle) in line and "\n" not in line and "START_KNOCKD=1" in line


def test_a_drop_ins_environment_holds_where_the_file_is_silent(
    toggle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("START_KNOCKD", "1")
    toggle.write_text("")
    assert helper.refusal(helper.read(toggle), toggle) == ""
    toggle.write_text("START_KNOCKD=0\n")
    assert helper.refusal(helper.read(toggle), toggle) != ""


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("-i ppp0 -d -c /usr/local/etc/knockd.conf", "-i ppp0 -c /usr/local/etc/knockd.conf"),
        ("-d", ""),
        ("--daemon -v", "-v"),
        ("-dv", "-v"),
        ("-vdi eth0", "-vi eth0"),
        ("-ieth0d", "-ieth0d"),
        ("-i -d", "-i -d"),
        ("--interface -d", "--interface -d"),
        ("--interface=eth0 -d", "--interface=eth0"),
        ("--debug -D", "--debug -D"),
    ],
)
def test_only_the_option_for_the_background_is_left_out(given: str, left: str) -> None:
    assert helper.without_background(given.split()) == left.split()


@pytest.mark.parametrize(
    ("given", "left"),
    [
        ("start -i eth0 x", "-i eth0"),
        ("-c a b -D", "-c a -D"),
        ("-vDc a b", "-vDc a"),
        ("-ca b", "-ca"),
        ("--settings a b --config=c d", "--settings a --config=c"),
        ("-i - x", "-i -"),
    ],
)
def test_what_belongs_to_no_option_is_left_out(given: str, left: str) -> None:
    assert helper.without_strays(given.split()) == left.split()


@pytest.fixture
def startable(
    toggle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[[str, int], tuple[int, str]]:
    """What is said of a toggle, with a knockd whose check ends with a status."""
    program = tmp_path / "program"
    monkeypatch.setattr(helper, "PATH", toggle)
    monkeypatch.setattr(helper, "KNOCKD", str(program))

    def say(text: str, status: int) -> tuple[int, str]:
        toggle.write_text(text)
        program.write_text(
            "#!/bin/sh\n"
            "echo config: stdout\n"
            'echo "/etc/knockd.conf:3: warning: odd" >&2\n'
            'echo "/etc/knockd.conf:5: wrong: $*" >&2\n'
            f"exit {status}\n"
        )
        program.chmod(0o755)
        code = helper.main(["--startable"])
        said = capfd.readouterr()
        assert said.err == ""
        return code, said.out

    return say


@pytest.mark.parametrize(
    ("text", "status", "expected"),
    [
        ('START_KNOCKD=1\nKNOCKD_OPTS="-d -D -c a b"\n', 0, ""),
        ('KNOCKD_OPTS="-v"\n', 0, ""),
        (
            'START_KNOCKD=1\nKNOCKD_OPTS="-d -D -c a b"\n',
            1,
            "/etc/knockd.conf:5: wrong: --check -d -c a\n",
        ),
        ("START_KNOCKD=0\n", 0, "START_KNOCKD is 0 in {}\n"),
        ("START_KNOCKD=\n", 0, "START_KNOCKD is empty in {}\n"),
        (
            "START_KNOCKD=$(date)\n",
            0,
            "{}:1: $ would need a shell: write the value itself\n",
        ),
    ],
)
def test_what_would_keep_it_from_starting_is_one_line(
    startable: Callable[[str, int], tuple[int, str]],
    toggle: Path,
    text: str,
    status: int,
    expected: str,
) -> None:
    said = expected.format(toggle)
    assert startable(text, status) == (1 if said else 0, said)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("START_KNOCKD=0\n", "START_KNOCKD=1\n"),
        ("# on?\nSTART_KNOCKD=0 # no\n\nX=1\n", "# on?\nSTART_KNOCKD=1\n\nX=1\n"),
        ('KNOCKD_OPTS="-i eth0"', 'KNOCKD_OPTS="-i eth0"\nSTART_KNOCKD=1\n'),
        ("", "START_KNOCKD=1\n"),
        ("START_KNOCKD=1\nSTART_KNOCKD=0\n", "START_KNOCKD=1\nSTART_KNOCKD=1\n"),
        (" START_KNOCKD='1' # on\n", " START_KNOCKD='1' # on\n"),
    ],
)
def test_enabling_changes_one_line_and_no_more(toggle: Path, before: str, after: str) -> None:
    toggle.write_text(before)
    toggle.chmod(0o600)
    assert helper.enable(toggle) == 0
    assert toggle.read_text() == after
    assert toggle.stat().st_mode & 0o777 == 0o600


def test_enabling_leaves_a_file_alone_that_it_cannot_read(toggle: Path) -> None:
    toggle.write_text("[ -e /x ] && START_KNOCKD=0\n")
    assert helper.enable(toggle) == 1
    assert toggle.read_text() == "[ -e /x ] && START_KNOCKD=0\n"


def test_a_wrong_word_on_its_command_line_prints_its_usage() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "systemd" / "knockd-options", "--whatever"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "knockd-options --systemd" in done.stderr
