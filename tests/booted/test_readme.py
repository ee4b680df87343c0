"""The README on a bare Debian, word for word, where other Pythons come first and there is no sudo."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.support import trees
from tests.support.lab import CLIENT_4, SERVER_4, SERVER_6, until
from tests.support.machine import Machine
from tests.support.readme import blocks, clone, command, commands, strange_path

SSH = 22


@pytest.fixture
def bare(release: str, tmp_path: Path) -> Iterator[Path]:
    """A tree with what builds packages, a fresh clone in it, and no network."""
    with (
        trees.overlay(trees.build_layer(release), tmp_path) as tree,
        trees.mounted("proc", tree / "proc"),
    ):
        clone(tree / "root")
        yield tree


def run_in(tree: Path, text: str, path: str) -> subprocess.CompletedProcess[str]:
    """``text`` in the clone, in a shell of the tree."""
    return subprocess.run(
        ["unshare", "--net", "chroot", tree, "env", "-i", f"PATH={path}", "HOME=/root",
         "DEBIAN_FRONTEND=noninteractive", "bash", "-c", f"cd /root/pyknockd && {text}"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, errors="replace", check=False,
    )  # fmt: skip


def test_the_package_is_built_and_installed(bare: Path) -> None:
    path = strange_path(bare / "root").replace(str(bare), "")
    for text in commands("Install"):
        done = run_in(bare, text, path)
        assert done.returncode == 0, done.stdout
        assert "this is the wrong" not in done.stdout
    assert run_in(bare, "/usr/sbin/knockd -V", path).stdout.startswith("knockd 0.8")


def test_the_demo_runs(debian: Machine) -> None:
    clone(debian.file("/root"))
    path = strange_path(debian.file("/root")).replace(str(debian.tree), "")
    text = command("See it work", "--demo")
    done = debian.run(f"cd /root/pyknockd && PATH={path} && {text}")
    assert done.returncode == 0, done.stdout
    assert "port 22 is OPEN" in done.stdout
    assert "this is the wrong" not in done.stdout


def is_shut(debian: Machine) -> bool:
    return not any(debian.lab.reaches(SSH, host) for host in (SERVER_4, SERVER_6))


def knock_in(debian: Machine) -> None:
    """The README's knocks from outside, over each family."""
    (line,) = [text for text in commands("Knock") if text.startswith("knock ")]
    ports = line.partition(" && ")[0].split()[2:]
    for host in (SERVER_4, SERVER_6):
        debian.lab.knock(*ports, host=host)
        until(partial(debian.lab.reaches, SSH, host), f"{host}\n{debian.journal()}")


def test_the_first_steps_from_the_first_to_the_reboot(debian: Machine) -> None:
    """In order; what a person is to do between the commands stands between them here."""
    debian.install_pyknockd()
    debian.lab.server.ip("route", "add", "default", "via", CLIENT_4)
    (door,) = [block.text for block in blocks() if block.language == "ini"]
    debian.write("/etc/knockd.conf", f"{door}\n")
    toggle = debian.file("/etc/default/knockd")
    toggle.write_text(toggle.read_text().replace("START_KNOCKD=0", "START_KNOCKD=1"))
    steps = iter(commands("First steps"))
    with debian.lab.listen(SSH), debian.lab.listen(SSH, SERVER_6):
        for text in steps:
            said = debian.output(text)
            if text == "knockd --check":
                assert said == ""
            elif "status" in text:
                assert "active (running)" in said
                assert "starting up, listening on server0" in debian.journal()
            elif text.startswith("ip6tables") and text.endswith("DROP"):
                break
        assert is_shut(debian)
        knock_in(debian)
        until(lambda: len(debian.rules()) == 2 == len(debian.rules("ip6tables")), "shut again", 45)
        assert is_shut(debian)
        for text in steps:
            debian.output(text)
        debian.reboot()
        until(lambda: debian.systemctl("is-active knockd") == "active", "knockd runs")
        assert is_shut(debian)
        knock_in(debian)


def test_the_way_back_opens_the_port_again(debian: Machine) -> None:
    for text in commands("First steps"):
        if "DROP" in text:
            debian.output(text)
    with debian.lab.listen(SSH), debian.lab.listen(SSH, SERVER_6):
        assert is_shut(debian)
        assert debian.systemctl("is-active way-back.timer") == "active"
        debian.output("systemctl start way-back.service")  # as the timer does in ten minutes
        until(lambda: not is_shut(debian), "the port is open again")
        assert debian.rules() == debian.rules("ip6tables") == []
