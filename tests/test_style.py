"""The shape of the program and of its tests: linters, types, and who may know of whom."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.lab import ROOT

PACKAGE = ROOT / "pyknockd"
# What touches the world: sockets, clocks, files, processes, libraries. Every other module is pure.
SHELLS = {
    *("__main__", "cli", "daemon", "demo", "desk", "options", "reading"),
    *("replay", "state", "world"),
    *("capture", "capture.capture", "capture.interfaces", "capture.pcap", "capture.rtnetlink"),
    "capture.sniffer",
    *("client", "client.__main__", "client.carrying", "client.command", "client.files"),
    *("client.knocking", "client.onetime", "client.places", "client.screen", "client.sending"),
    *("client.several", "client.waiting"),
    *("config", "config.advice", "config.files", "config.freshness", "config.last_good"),
    *("control", "control.client", "control.knockctl", "control.server", "control.service"),
    "control.views",
    *("doors", "doors.doors", "doors.journal", "doors.rehearsal", "doors.runner", "doors.store"),
    *("firewall", "firewall.firewall", "firewall.program", "firewall.services"),
    *("firewall.legacy.tables", "firewall.nft.netlink", "firewall.nft.tables"),
    *("proof", "proof.onetime", "proof.proofs", "proof.replays"),
    *("report", "report.alarms", "report.hostnames", "report.log", "report.log_file"),
    "report.reader",
    *("report.terminal", "report.textfile"),
    *("system.background", "system.claim", "system.clock", "system.first_process"),
    *("system.netns", "system.outputs", "system.places", "system.process", "system.python"),
    *("system.signals", "system.systemd", "system.trust", "system.whole"),
    "system.worker",
}
# What touches nothing: addresses ↔ text, dates that are given (never now()), quoting.
HARMLESS = {
    "datetime": {"datetime", "timezone"},
    "socket": {"AF_INET", "AF_INET6", "inet_ntop", "inet_pton"},
    "urllib.parse": {"quote"},
}
PURE_LIBRARIES = {
    *("__future__", "collections", "contextlib", "dataclasses", "enum", "heapq", "ipaddress"),
    *("getopt", "itertools", "json"),
    *("base64", "binascii", "cryptography", "hashlib", "hmac"),
    *("dataclasses", "difflib", "functools", "re", "struct", "traceback", "typing", "yaml"),
}
# Each outside world has one door.
ONLY_IN = {
    "scapy": {"capture.pcap", "capture.sniffer"},
    "iptc": {"firewall.legacy.tables"},
    "nftables": {"firewall.nft.tables"},
    "sqlite3": {"doors.store", "proof.replays"},
    "cryptography": {"proof.spa_crypto"},
    "yaml": {"system.nodes"},
    "subprocess": {"system.process"},
}
# Whom a room may import besides itself, system and model: nobody who is not named here.
MAY_IMPORT = {
    **dict.fromkeys(("capture", "control", "proof", "firewall", "report", "system", "model"), ()),
    "config": ("proof",),
    "doors": ("firewall",),
    "client": ("__version__",),
    "demo": ("client",),
    # The rooms meet here, by their faces.
    "world": ("capture", "control", "doors", "report"),
    "daemon": ("capture", "config", "control", "desk", "doors", "proof", "report", "world"),
    "desk": ("__version__", "control", "doors", "report"),
    "state": ("doors",),
    "reading": ("config", "state"),
    "options": (),
    "replay": ("capture", "doors", "proof", "report"),
    "cli": (
        *("__version__", "capture", "config", "control", "daemon", "demo", "doors", "firewall"),
        *("options", "reading", "replay", "report", "state", "world"),
    ),
    # The program, which reads the journal by itself while no daemon runs.
    "control.knockctl": ("__version__", "doors"),
    "__main__": ("cli",),
    "__init__": (),
}
BY_FACES_ONLY = {
    *("daemon", "desk", "replay", "state", "world"),
    *("debian/close-doors", "debian/swap"),
}


# Longer ones: the table of knockd.conf's keys, all transitions of an attempt, of an opening and of a
# change under way, what happens and what the log says of it.
LONG_MODULES = {
    "daemon": 320,
    "doors.lifetime": 400,
    "config.knockd_conf": 400,
    "proof.sequence": 400,
    "doors.runner": 340,
    "model.events": 550,
    "report.lines": 380,
}
TESTS = ROOT / "tests"
# Modules without unit tests: the tests that are theirs, and why those are not unit tests.
TESTED_ELSEWHERE = {
    "__main__": ("kernel/test_cli.py", "it is the program, started as such"),
    "capture.capture": ("kernel/test_capture.py", "it listens on real interfaces"),
    "capture.interfaces": ("kernel/test_capture.py", "it follows real interfaces"),
    "capture.sniffer": ("kernel/test_links.py", "it opens packet sockets"),
    "doors.doors": ("kernel/test_daemon.py", "it runs commands and changes tables"),
    "doors.runner": ("kernel/test_daemon.py", "it runs commands and changes tables"),
    "client.__main__": ("unit/client/test_command.py", "it is the program, started as such"),
    "client.carrying": ("kernel/test_client.py", "it carries real connections"),
    "client.knocking": ("kernel/test_client.py", "it knocks at a real daemon"),
    "client.sending": ("kernel/test_client.py", "it sends packets"),
    "client.several": ("kernel/test_client.py", "it knocks at several addresses"),
    "desk": ("kernel/test_control.py", "it opens and closes doors"),
    "firewall.firewall": ("kernel/test_firewall.py", "it changes tables"),
    "firewall.legacy.made": ("kernel/test_legacy.py", "it makes python-iptables' objects"),
    "firewall.legacy.tables": ("kernel/test_legacy.py", "it changes tables"),
    "firewall.nft.tables": ("kernel/test_nft.py", "it changes tables"),
    "system.first_process": ("kernel/test_container.py", "it is process 1"),
    "world": ("unit/test_daemon.py", "it is what the daemon is given"),
    "system.netns": ("kernel/test_demo.py", "it makes network namespaces"),
}


def name_of(path: Path) -> str:
    """The dotted name of a module, without the package's."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> list[tuple[str, str]]:
    """(module, name) of everything that ``path`` imports; the name is empty for a whole module."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [(node.module or "", alias.name) for alias in node.names]
    return found


def rooms(path: Path) -> set[str]:
    """The modules of ours that ``path`` imports, without the package's name."""
    found = set()
    for module, what in imports(path):
        if module == "pyknockd":
            found.add(what)
        elif module.startswith("pyknockd."):
            inner = module.removeprefix("pyknockd.")
            is_module = (PACKAGE / inner.replace(".", "/") / f"{what}.py").exists()
            found.add(f"{inner}.{what}" if is_module else inner)
    return found


def pure_modules() -> list[Path]:
    return [path for path in modules() if name_of(path).removesuffix(".__init__") not in SHELLS]


@pytest.mark.parametrize("path", pure_modules(), ids=name_of)
def test_a_pure_room_imports_only_pure_things(path: Path) -> None:
    name = name_of(path)
    for room in rooms(path):
        assert room not in SHELLS, f"{name} is pure and imports {room}"
    for module, what in imports(path):
        if module.split(".")[0] == "pyknockd":
            continue
        if module in HARMLESS:
            assert what in HARMLESS[module], f"{name} is pure and imports {module}.{what}"
        else:
            assert module.split(".")[0] in PURE_LIBRARIES, f"{name} is pure and imports {module}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_each_outside_world_has_one_door(library: str) -> None:
    users = {
        name_of(path)
        for path in modules()
        if any(m.split(".")[0] == library for m, _ in imports(path))
    }
    assert users <= ONLY_IN[library]


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_a_room_imports_only_whom_it_may(path: Path) -> None:
    own = name_of(path).partition(".")[0]
    allowed = {own, "system", "model", *MAY_IMPORT.get(name_of(path), MAY_IMPORT[own])}
    for room in rooms(path):
        assert room.partition(".")[0] in allowed, f"{name_of(path)} imports {room}"


@pytest.mark.parametrize("name", sorted(BY_FACES_ONLY))
def test_who_stands_outside_knows_rooms_by_their_faces(name: str) -> None:
    path = ROOT / name if "/" in name else PACKAGE / f"{name}.py"
    for room in rooms(path):
        face, dot, _ = room.partition(".")
        assert not dot or face in ("system", "model"), f"{name} imports {room}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_each_module_can_be_imported_alone(path: Path) -> None:
    """In a fresh interpreter, so that no circle of imports can hide."""
    name = f"pyknockd.{name_of(path)}".removesuffix(".__init__")
    if name == "pyknockd.__main__":
        return
    words = [sys.executable, "-c", f"import {name}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_each_module_has_tests_of_its_own(path: Path) -> None:
    name = name_of(path)
    if path.name == "__init__.py":
        return
    unit = TESTS / "unit" / path.relative_to(PACKAGE).with_name(f"test_{path.name}")
    if name in TESTED_ELSEWHERE:
        assert not unit.exists(), f"{name} has unit tests: it needs no place in the table"
        assert (TESTS / TESTED_ELSEWHERE[name][0]).exists()
    else:
        assert unit.exists(), f"{name} has no {unit.relative_to(ROOT)}"


def test_no_test_stands_for_a_module_that_is_gone() -> None:
    assert set(TESTED_ELSEWHERE) <= {name_of(path) for path in modules()}
    for path in (TESTS / "unit").rglob("test_*.py"):
        folder, name = path.relative_to(TESTS / "unit").parent, path.stem.removeprefix("test_")
        subjects = [*(PACKAGE / folder).glob("*.py"), *(ROOT / folder).glob("*")]
        names = {re.sub("[-.]", "_", subject.stem.lower()) for subject in subjects}
        assert name in names, path


@pytest.mark.parametrize(
    "path", sorted(TESTS.rglob("*.py")), ids=lambda p: str(p.relative_to(TESTS))
)
def test_tests_share_what_lies_in_support_and_nothing_else(path: Path) -> None:
    """The benchmark is a program of its own, which its test may import."""
    own = path.relative_to(TESTS).parts[0]
    allowed = {"support", "bench"} if own == "bench" else {"support"}
    for module, what in imports(path):
        if module.split(".")[0] == "tests":
            room = module.split(".")[1] if "." in module else what
            assert room in allowed, f"{path.name} imports {module}"
            assert not module.rpartition(".")[2].startswith("test_")


def test_few_files_lie_at_the_root() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 12


def test_functions_and_modules_stay_short() -> None:
    for path in modules():
        text = path.read_text()
        most = LONG_MODULES.get(name_of(path), 300)
        assert text.count("\n") <= most, f"{path.name} is too long"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= 40, f"{path.name}: {node.name} has {length} lines"


def test_nobody_inherits_but_from_exceptions_enums_and_protocols() -> None:
    allowed = {"Exception", "Enum", "IntFlag", "Protocol"}
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                assert {ast.unparse(base) for base in node.bases} <= allowed, (
                    f"{path.name}: {node.name}"
                )


def tool(name: str) -> str:
    """The path of ``name``: beside this Python, or on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: the README's test command installs it")
    return found


def scripts(interpreter: str) -> list[str]:
    """What is run by ``interpreter`` and has no ending that says so, from the root."""
    found = []
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT)
        hidden = inside.parts[0].startswith(".") and inside.parts[0] != ".ci"
        if hidden or path.suffix in (".py", ".pyc") or not path.is_file():
            continue
        with path.open(errors="replace") as file:
            if re.match(rf"#!.*/(env )?{interpreter}( |$)", file.readline(100)):
                found.append(str(inside))
    return found


SHELL = [
    *scripts("(ba)?sh"),
    *(f"debian/completions/{name}" for name in ("knock", "knockctl", "knockd")),
]


def test_what_has_no_ending_is_linted_too() -> None:
    configuration = (ROOT / "pyproject.toml").read_text()
    for script in scripts("python3"):
        count = configuration.count(f'"{script}"')
        assert count == 2, f"pyproject.toml must name {script} to mypy and to ruff"


@pytest.mark.parametrize(
    "words",
    [
        ["ruff", "check", "."],
        ["ruff", "format", "--check", "."],
        ["mypy"],
        # What lies outside of the repository is not ours.
        ["shellcheck", "--exclude=SC1091", *SHELL],
    ],
    ids=["ruff check", "ruff format", "mypy", "shellcheck"],
)
def test_the_linters_have_nothing_to_say(words: list[str]) -> None:
    name, *rest = words
    done = subprocess.run(
        [tool(name), *rest], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
