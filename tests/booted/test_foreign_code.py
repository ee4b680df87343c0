"""The installed package among another user's traps: none of that user's code runs as root."""

from __future__ import annotations

import shlex
import shutil

from tests.support.lab import CLIENT_4, INTERFACE
from tests.support.machine import Machine
from tests.support.stranger import TRAPS, Start, Stranger, a_stranger

DOOR = """[ssh]
sequence = 7000,8000,9000
tcpflags = syn
command = /usr/sbin/iptables-legacy -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
"""
HELPER = "/usr/libexec/pyknockd/knockd-options"
DAEMON = ("/usr/sbin/knockd", "-d", "-i", INTERFACE, "-p", "/run/trapped.pid")
PROGRAMS = (
    *(
        "/usr/sbin/knockd --check",
        "/usr/bin/knock 127.0.0.1 7000",
        "/usr/libexec/pyknockd/close-doors",
    ),
    *(
        f"{HELPER} --init",
        f"{HELPER} --pid-file",
        f"{HELPER} --signal CONT",
        "/usr/libexec/pyknockd/swap",
    ),
    *(f"/usr/sbin/knock_helper_ipt.sh -i -f {CLIENT_4} -d 22", "/etc/init.d/knockd status"),
)


def caught(debian: Machine, stranger: Stranger, how: Start) -> str:
    """What of the stranger's has run once each program has, as root; his folder is the same there."""
    inside = debian.file(str(stranger.folder))
    shutil.rmtree(inside, ignore_errors=True)
    # As he has it, down to whom it belongs.
    debian.lab.server.run("cp", "-a", str(stranger.folder), str(inside))
    started = debian.run(shlex.join(how.words(*DAEMON)))
    debian.run("kill $(cat /run/trapped.pid)")
    for program in PROGRAMS:
        debian.run(shlex.join(how.words(*shlex.split(program))))
    marker = debian.file(str(stranger.marker))
    text = marker.read_text() if marker.exists() else ""
    assert text or started.returncode == 0, started.stdout
    return text


def test_no_installed_program_runs_nobody_elses_code(debian: Machine) -> None:
    debian.install_pyknockd()
    debian.write("/etc/knockd.conf", DOOR)
    debian.output("iptables-legacy -A INPUT -p tcp --dport 22 -j DROP")
    said = {}
    for name in ("the folder", "XTABLES_LIBDIR", "PATH", "OPENSSL_CONF", "HOME", "PYTHONPATH"):
        with a_stranger() as stranger:
            said[name] = caught(debian, stranger, TRAPS[name](stranger))
    assert {name: text for name, text in said.items() if text} == {}


def test_every_program_of_the_package_begins_with_an_isolated_python(debian: Machine) -> None:
    debian.install_pyknockd()
    programs = debian.output(
        "dpkg -L pyknockd | xargs grep -ls '^#! */usr/bin/python' || true"
    ).split()
    firsts = {path: debian.file(path).read_text().splitlines()[0] for path in programs}
    assert set(firsts.values()) == {"#!/usr/bin/python3 -I"}
    assert {"/usr/sbin/knockd", "/usr/bin/knock", HELPER} <= set(firsts)
