"""Another user, and the traps that he lays for whoever runs knockd as root."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

NOBODY = 65534
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
        """A module that leaves the mark, however early Python loads it."""
        flags = "posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND"
        opened = f"posix.open({str(self.marker)!r}, {flags}, 0o666)"
        return self.write(
            name, f"import posix\nposix.write({opened}, {name!r}.encode() + b'\\n')\n"
        )

    def has_run(self) -> str:
        return self.marker.read_text() if self.marker.exists() else ""


@contextmanager
def a_stranger() -> Iterator[Stranger]:
    """With a folder of his own; gone afterwards. Needs root."""
    # Not in /tmp, which is another in each booted Debian.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
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
        return ["env", f"--chdir={self.folder or '/'}", *pairs, *program]


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


def a_users_packages(stranger: Stranger) -> None:
    """What Python loads from a home, or from PYTHONUSERBASE, as it starts."""
    for base in (".local", "."):
        for minor in range(10, 16):
            packages = f"{base}/lib/python3.{minor}/site-packages"
            stranger.python(f"{packages}/usercustomize.py")
            line = f"import os; os.system('echo pth >>{stranger.marker}')"
            stranger.write(f"{packages}/trap.pth", line)


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
        a_users_packages(stranger)
        return Start({variable: str(stranger.folder)})

    return lay


def pythons_traps(stranger: Stranger) -> Start:
    """What Python runs before, or in the place of, the program that it is asked for."""
    for name in ("sitecustomize", "usercustomize", "argparse", "os", "encodings", "pyknockd"):
        stranger.python(f"{name}.py")
    a_users_packages(stranger)
    for name in PROGRAMS:
        stranger.script(name)
    folder = str(stranger.folder)
    names = ("PYTHONPATH", "HOME", "PATH", "PYTHONSTARTUP", "ENV")
    return Start(dict.fromkeys((*names, "PYTHONUSERBASE"), folder), folder)


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
    "PYTHONPATH": pythons_traps,
}
