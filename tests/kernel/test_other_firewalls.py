"""Doors in other firewalls are commands as ever: the real ufw, the real nft, shell lists."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.lab import CLIENT_4, ROOT, SERVER_4, SERVER_6, Lab, until

DOOR = """
[d]
sequence = 7000,8000
tcpflags = syn
start_command = {}
cmd_timeout = 1
stop_command = {}
"""


def test_an_nft_door_opens_and_closes(hosts: Lab) -> None:
    if shutil.which("nft") is None:
        pytest.skip("needs nft")
    for line in (
        "add table inet guard",
        "add chain inet guard input { type filter hook input priority 0; }",
        "add set inet guard friends { type ipv4_addr; }",
        "add rule inet guard input ip saddr @friends accept",
        "add rule inet guard input tcp dport 22 drop",
    ):
        hosts.server.run("nft", line)
    daemon = hosts.start(
        DOOR.format(
            "nft add element inet guard friends '{ %IP% }'",
            "nft delete element inet guard friends '{ %IP% }'",
        )
    )
    with hosts.listen(22):
        assert not hosts.reaches(22)
        hosts.knock(7000, 8000)
        until(lambda: hosts.reaches(22), "the port opens")
        daemon.wait_for("command timeout")
        until(lambda: not hosts.reaches(22), "the port closes")
    assert "non-zero" not in daemon.text()


def test_a_list_of_commands_works_as_in_the_shell(hosts: Lab) -> None:
    opening = (
        "iptables-nft -N friends 2>/dev/null; iptables-nft -A friends -s %IP% -j ACCEPT && true"
    )
    daemon = hosts.start(DOOR.format(opening, "iptables-nft -F friends; iptables-nft -X friends"))
    hosts.knock(7000, 8000)
    until(
        lambda: f"-A friends -s {CLIENT_4}/32 -j ACCEPT" in hosts.rules("iptables-nft"), "the rule"
    )
    until(lambda: not hosts.rules("iptables-nft"), "no rule is left")
    assert daemon.text().count("running command") == 2


def ufw(folder: Path, command: str) -> str:
    """Words that run a shell command with ufw's files a copy of their own."""
    # ufw keeps its rules in /etc/ufw and /lib/ufw; the machine's own must stay as they are.
    binds = " && ".join(
        f"mkdir -p {folder}{path} && cp -a {path}/. {folder}{path} && mount --bind {folder}{path} {path}"
        for path in ("/etc/ufw", "/lib/ufw", "/etc/default")
    )
    return f"{binds} && {command}"


def ufw_door_of_the_manual() -> str:
    manual = (ROOT / "debian/knockd.conf.5").read_text()
    (example,) = (part for part in manual.split(".EX\n")[1:] if "= ufw " in part)
    return example.split(".EE")[0]


@pytest.mark.parametrize("host", [SERVER_4, SERVER_6])
def test_the_manuals_ufw_door_opens_and_closes(hosts: Lab, tmp_path: Path, host: str) -> None:
    """On a ufw without other rules, where one cannot be inserted at a place."""
    if shutil.which("ufw") is None:
        pytest.skip("needs ufw")
    config = hosts.config(ufw_door_of_the_manual().replace("= 10", "= 3"))
    started = f"ufw --force enable && exec {sys.executable} -m pyknockd -v -i server0 -c {config}"
    daemon = hosts.spawn(["unshare", "-m", "sh", "-c", ufw(tmp_path / "ufw", started)])
    daemon.wait_for("starting up, listening on")
    with hosts.listen(22, host):
        assert not hosts.reaches(22, host)
        hosts.knock("2222:udp", 3333, "4444:udp", host=host)
        until(lambda: hosts.reaches(22, host), "the port opens")
        daemon.wait_for("command timeout")
        until(lambda: not hosts.reaches(22, host), "the port closes")
    assert "non-zero" not in daemon.text()
