"""Root starts knockd among another user's traps, and none of that user's code runs.

A trap is what an environment that was kept (`sudo -E`, `su -m`), the home that it names, or the
folder where root happens to be would have root run.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pyknockd.doors.journal import Journal, Record
from tests.lab import CLIENT_4, INTERFACE, ROOT, Lab, Running, until

NOBODY = 65534
# What a package installs: Python in isolated mode, and the entry point.
ENTRY = (
    f"import sys; sys.path[:0] = [{str(ROOT)!r}]; from pyknockd.cli import start; sys.exit(start())"
)
KNOCKD = [sys.executable, "-I", "-W", "ignore", "-c", ENTRY]
# Programs that the daemon runs by itself, and those that its libraries look for.
PROGRAMS = (
    *("getent", "ip", "iptables-legacy-save", "ip6tables-legacy-save", "env", "sh"),
    *("gcc", "cc", "ld", "objdump", "ldconfig", "modprobe"),
    *("getopt", "awk", "xargs", "iptables", "ip6tables", "readlink", "systemctl"),
)
LIBRARIES = ("xtables", "xtwrapper", "ip4tc", "ip6tc", "iptc", "nftables", "xt_tcp", "ipt_tcp")
CONSTRUCTOR = """
#include <stdio.h>
#include <unistd.h>
__attribute__((constructor)) static void run(void)
{
    FILE *file = fopen("%s", "a");
    if (file) { fprintf(file, "%%s as %%d\\n", __FILE__, geteuid()); fclose(file); }
}
"""
OPENSSL = """
openssl_conf = init
[init]
providers = providers
[providers]
trap = trap
default = default
[default]
activate = 1
[trap]
activate = 1
module = %s
"""


@dataclass
class Stranger:
    """Another user: a folder of his own, and the file that his code writes to when it runs."""

    folder: Path

    @property
    def marker(self) -> Path:
        return self.folder / "marker"

    def run(self, *words: str | Path) -> None:
        who = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
        subprocess.run([*map(str, words)], check=True, cwd=self.folder, **who)  # type: ignore[call-overload]

    def write(self, name: str, text: str | bytes) -> Path:
        """A file of his, which may be run."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o755)
        for each in (path, *path.parents[: len(Path(name).parts) - 1]):
            os.chown(each, NOBODY, NOBODY)
        return path

    def script(self, name: str) -> Path:
        said = f'echo "{name} as $(/usr/bin/id -u)"'
        return self.write(name, f"#!/bin/sh\n{said} >>{self.marker}\nexit 1\n")

    def library(self) -> Path:
        """A shared library whose constructor leaves the mark."""
        path = self.folder / "trap.so"
        if not path.exists():
            source = self.write("trap.c", CONSTRUCTOR % self.marker)
            # By that name, whatever its file is called: what asks a linker is told of it.
            self.run("cc", "-shared", "-fPIC", f"-Wl,-soname,{path}", "-o", path, source)
        return path

    def python(self, name: str) -> Path:
        line = (
            f"import os; open({str(self.marker)!r}, 'a').write('{name} as %d\\n' % os.geteuid())\n"
        )
        return self.write(name, line)

    def has_run(self) -> str:
        return self.marker.read_text() if self.marker.exists() else ""


@pytest.fixture
def stranger() -> Iterator[Stranger]:
    if os.geteuid() != 0:
        pytest.skip("needs root, to be somebody else")
    if shutil.which("cc") is None:
        pytest.skip("needs a C compiler")
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        os.chown(name, NOBODY, NOBODY)
        os.chmod(name, 0o755)
        yield Stranger(Path(name))


@dataclass
class Start:
    """How root starts the program: the environment that is kept, and the folder; "" is elsewhere."""

    environment: dict[str, str] = field(default_factory=dict)
    folder: str = ""

    def words(self, *program: str) -> list[str]:
        pairs = [f"{name}={value}" for name, value in self.environment.items()]
        return ["env", f"--chdir={self.folder or ROOT}", *pairs, *program]


Trap = Callable[[Stranger], Start]


def links_in_the_folder(stranger: Stranger) -> Start:
    for name in LIBRARIES:
        for link in (name, f"lib{name}.so", f"{name}.so", f"lib{name}"):
            os.symlink(stranger.library(), stranger.folder / link)
    return Start(folder=str(stranger.folder))


def a_folder_of_libraries(variable: str) -> Trap:
    def lay(stranger: Stranger) -> Start:
        for name in LIBRARIES:
            shutil.copy(stranger.library(), stranger.folder / f"lib{name}.so")
        return Start({variable: str(stranger.folder)})

    return lay


def the_version_of_a_library(stranger: Stranger) -> Start:
    (stranger.folder / "libxtables.so.").mkdir()
    shutil.copy(stranger.library(), stranger.folder / "libxtables.so." / "trap.so")
    return Start({"PYTHON_IPTABLES_XTABLES_VERSION": "/trap.so"}, str(stranger.folder))


def a_path(value: str) -> Trap:
    def lay(stranger: Stranger) -> Start:
        for name in PROGRAMS:
            stranger.script(name)
        return Start({"PATH": value or str(stranger.folder)}, str(stranger.folder))

    return lay


def the_options_of_modprobe(stranger: Stranger) -> Start:
    trap = stranger.script("modprobe-trap")
    names = ("ip_tables", "ip6_tables", "iptable_filter", "ip6table_filter", "x_tables")
    stranger.write("modprobe.d/trap.conf", "".join(f"install {name} {trap}\n" for name in names))
    return Start({"MODPROBE_OPTIONS": f"-C {stranger.folder}/modprobe.d"})


def the_configuration_of_openssl(stranger: Stranger) -> Start:
    return Start({"OPENSSL_CONF": str(stranger.write("openssl.cnf", OPENSSL % stranger.library()))})


class Unpickled:
    """What runs a shell command when it is read from a pickle."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (self._command,)


def a_home(variable: str) -> Trap:
    def lay(stranger: Stranger) -> Start:
        data = pickle.dumps(Unpickled(f"echo pickle >>{stranger.marker}"))
        for folder in (".cache/scapy", "scapy"):
            for name in ("ethertypes", "protocols", "services", "manufdb", "bluetoothids"):
                for cached in (name, f"{name}.pickle"):
                    stranger.write(f"{folder}/{cached}", data)
        for folder in (".config/scapy", "scapy"):
            stranger.python(f"{folder}/prestart.py")
            stranger.python(f"{folder}/startup.py")
        packages = f".local/lib/python{sysconfig.get_python_version()}/site-packages"
        stranger.python(f"{packages}/usercustomize.py")
        return Start({variable: str(stranger.folder)})

    return lay


def a_journal_of_open_doors(stranger: Stranger) -> Start:
    closing = f"echo journal as $(id -u) >>{stranger.marker}"
    for name in ("doors.sqlite", "doors-{digest}.sqlite"):
        journal = Journal(stranger.folder / name, lambda text: None)
        journal.opening(Record("door", CLIENT_4, "true", closing, 0.0))
        journal.close()
    return Start({"STATE_DIRECTORY": str(stranger.folder)})


TRAPS: dict[str, Trap] = {
    "the folder": links_in_the_folder,
    "IPTABLES_LIBDIR": a_folder_of_libraries("IPTABLES_LIBDIR"),
    "XTABLES_LIBDIR": a_folder_of_libraries("XTABLES_LIBDIR"),
    "LIBRARY_PATH": a_folder_of_libraries("LIBRARY_PATH"),
    "PYTHON_IPTABLES_XTABLES_VERSION": the_version_of_a_library,
    "PATH": a_path(""),
    "PATH=.": a_path("."),
    "PATH=:": a_path(":"),
    "MODPROBE_OPTIONS": the_options_of_modprobe,
    "OPENSSL_CONF": the_configuration_of_openssl,
    "HOME": a_home("HOME"),
    "XDG_CACHE_HOME": a_home("XDG_CACHE_HOME"),
    "XDG_CONFIG_HOME": a_home("XDG_CONFIG_HOME"),
    "PYTHONUSERBASE": a_home("PYTHONUSERBASE"),
}
DOOR = """[options]
[ssh]
sequence = 7000,8000,9000
seq_timeout = 5
tcpflags = syn
start_command = /usr/sbin/iptables-legacy -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
stop_command = /usr/sbin/iptables-legacy -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
cmd_timeout = 600
"""
RULE = f"-A INPUT -s {CLIENT_4}/32 -p tcp -m tcp --dport 22 -j ACCEPT"


def start(hosts: Lab, how: Start, *options: str) -> Running:
    """The installed program, on the server, started by root as ``how`` says."""
    settings = ["--settings", str(hosts.folder / "pyknockd.yaml")]
    return hosts.spawn(how.words(*KNOCKD, "-v", "-i", INTERFACE, *settings, *options))


@pytest.mark.parametrize("name", TRAPS)
def test_a_daemon_starts_and_opens_and_runs_nobody_elses_code(
    hosts: Lab, stranger: Stranger, name: str
) -> None:
    assert hosts.rules("iptables-legacy") == []  # which makes the table
    daemon = start(hosts, TRAPS[name](stranger), "-l", "-c", str(hosts.config(DOOR)))
    daemon.wait_for("starting up, listening on")
    hosts.knock(7000, 8000, 9000)
    daemon.wait_for("OPEN SESAME")
    until(lambda: hosts.rules("iptables-legacy") == [RULE], "the door is open")
    assert daemon.stop() == 0
    assert stranger.has_run() == "", daemon.text()


@pytest.mark.parametrize("name", TRAPS)
def test_a_check_runs_nobody_elses_code(hosts: Lab, stranger: Stranger, name: str) -> None:
    hosts.server.run("iptables-legacy", "-A", "INPUT", "-p", "tcp", "--dport", "22", "-j", "DROP")
    checked = start(hosts, TRAPS[name](stranger), "--check", "-c", str(hosts.config(DOOR)))
    assert checked.process.wait(30) == 0, checked.text()
    assert stranger.has_run() == "", checked.text()
