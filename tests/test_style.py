"""The shape of the program: linters, types, and which room may know of what."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.lab import ROOT

PACKAGE = ROOT / "pyknockd"
PURE = {
    "model",
    "config",
    "machine",
    "bpf",
    "frame",
    "rule",
    "schedule",
    "words",
}
# inet_ntop and inet_pton turn addresses into text and back, and touch nothing.
HARMLESS = {"socket": {"AF_INET", "AF_INET6", "inet_ntop", "inet_pton"}}
PURE_LIBRARIES = {
    *("__future__", "collections", "contextlib", "dataclasses", "enum", "heapq", "ipaddress"),
    "itertools",
    *("difflib", "re", "struct", "typing", "yaml"),
}
ONLY_IN = {
    "scapy": {"capture"},
    "iptc": {"legacy"},
    "nftables": {"nft"},
    "sqlite3": {"journal"},
    "yaml": {"extras"},
    "subprocess": {"commands"},
}


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


@pytest.mark.parametrize("name", sorted(PURE))
def test_a_pure_room_imports_only_pure_things(name: str) -> None:
    for module, what in imports(PACKAGE / f"{name}.py"):
        if module.startswith("pyknockd"):
            own = what if module == "pyknockd" else module.removeprefix("pyknockd.")
            assert own in PURE, f"{name} is pure and imports {own}"
        elif module in HARMLESS:
            assert what in HARMLESS[module], f"{name} is pure and imports {module}.{what}"
        else:
            assert module.split(".")[0] in PURE_LIBRARIES, f"{name} is pure and imports {module}"


@pytest.mark.parametrize("library", ONLY_IN)
def test_each_outside_world_has_one_door(library: str) -> None:
    users = {p.stem for p in modules() if any(m.split(".")[0] == library for m, _ in imports(p))}
    # A handle that another room keeps has a type, and that is no use of the library.
    users -= {p.stem for p in modules() if ("subprocess", "Popen") in imports(p)}
    assert users <= ONLY_IN[library]


def test_functions_and_modules_stay_short() -> None:
    for path in modules():
        text = path.read_text()
        # The table of knockd.conf's keys is one room.
        most = 400 if path.name == "config.py" else 300
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
