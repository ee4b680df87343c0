"""The shape of the program: linters, types, and which room may know of what."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.lab import ROOT

PACKAGE = ROOT / "pyknockd"
PURE = {
    *("model", "config.knockd_conf", "config.settings", "capture.decode", "capture.filter"),
    *("proof.sequence", "proof.notation", "doors.schedule", "system.shell", "system.netlink"),
    *("firewall.rule", "firewall.iptables", "firewall.extensions", "firewall.conditions"),
    *("firewall.shadowing", "firewall.legacy.entry", "firewall.nft.statement"),
    "firewall.nft.expressions",
}
# inet_ntop and inet_pton turn addresses into text and back, and touch nothing.
HARMLESS = {"socket": {"AF_INET", "AF_INET6", "inet_ntop", "inet_pton"}}
PURE_LIBRARIES = {
    *("__future__", "collections", "contextlib", "dataclasses", "enum", "heapq", "ipaddress"),
    "itertools",
    *("difflib", "re", "struct", "typing", "yaml"),
}
# Each outside world has one door.
ONLY_IN = {
    "scapy": {"capture.sniffer"},
    "iptc": {"firewall.legacy.tables"},
    "nftables": {"firewall.nft.tables"},
    "sqlite3": {"doors.journal"},
    "yaml": {"config.settings"},
    "subprocess": {"system.process"},
}
# Whom a room may import besides itself, system and model; a room that is not named, anybody.
MAY_IMPORT = {
    **dict.fromkeys(("proof", "firewall", "report", "system", "model"), ()),
    "capture": ("report",),
    "config": ("proof",),
    "doors": ("firewall", "report"),
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


@pytest.mark.parametrize("name", sorted(PURE))
def test_a_pure_room_imports_only_pure_things(name: str) -> None:
    path = PACKAGE / f"{name.replace('.', '/')}.py"
    for room in rooms(path):
        assert room in PURE, f"{name} is pure and imports {room}"
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
    if own not in MAY_IMPORT:
        return
    allowed = {own, "system", "model", *MAY_IMPORT[own]}
    for room in rooms(path):
        assert room.partition(".")[0] in allowed, f"{name_of(path)} imports {room}"


@pytest.mark.parametrize("path", modules(), ids=name_of)
def test_each_module_can_be_imported_alone(path: Path) -> None:
    """In a fresh interpreter, so that no circle of imports can hide."""
    name = f"pyknockd.{name_of(path)}".removesuffix(".__init__")
    if name == "pyknockd.__main__":
        return
    words = [sys.executable, "-c", f"import {name}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_few_files_lie_at_the_root() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 12


def test_functions_and_modules_stay_short() -> None:
    for path in modules():
        text = path.read_text()
        # The table of knockd.conf's keys is one room.
        most = 400 if path.name == "knockd_conf.py" else 300
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


def tool(name: str) -> list[str]:
    """The words that run ``name``: beside this Python, or on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        pytest.skip(f"needs {name}: the README's test command installs it")
    return [found]


@pytest.mark.parametrize(
    "words",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=["ruff check", "ruff format", "mypy"],
)
def test_the_linters_have_nothing_to_say(words: list[str]) -> None:
    name, *rest = words
    done = subprocess.run(
        [*tool(name), *rest], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
