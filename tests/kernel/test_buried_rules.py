"""A rule that is there already, behind another put in front of it since: who knocks again gets in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.doors import KINDS, door
from tests.support.lab import CLIENT_4, CLIENT_6, SERVER_4, SERVER_6, Lab, Running, until

PORT = "-p tcp --dport 22"
PLAIN = f"-s %IP% {PORT} -j ACCEPT"
# What neither libnftables nor python-iptables can make: the program does.
BY_PROGRAM = f"-s %IP% {PORT} -m recent ! --rcheck --name nobody -j ACCEPT"


@dataclass
class Guarded:
    """A server whose port 22 is shut, and a client at it over one family."""

    hosts: Lab
    program: str
    server: str
    client: str

    def iptables(self, words: str) -> None:
        self.hosts.server.run(self.program, *words.split())

    def start(self, opening: str, closing: str = "", seconds: float = 3600) -> Running:
        more = {}
        if closing:
            more = {"stop_command": f"{self.program} {closing}", "cmd_timeout": str(seconds)}
        slot = "_6" if ":" in self.client else ""
        named = {f"{key}{slot}" if "command" in key else key: more[key] for key in more}
        text = door(f"{self.program} {opening}", **named)
        return self.hosts.start(text.replace("start_command =", f"start_command{slot} ="))

    def knock(self, daemon: Running) -> None:
        times = daemon.text().count("OPEN SESAME")
        self.hosts.knock(7000, host=self.server)
        daemon.wait_for("OPEN SESAME", times=times + 1)

    def ours(self) -> list[int]:
        """Where in the chain the rules for the client are that accept."""
        rules = [line for line in self.hosts.rules(self.program) if line.startswith("-A INPUT")]
        return [at for at, r in enumerate(rules) if self.client in r and r.endswith("-j ACCEPT")]

    def reaches(self) -> bool:
        return self.hosts.reaches(22, self.server)


@pytest.fixture(params=["IPv4", "IPv6"])
def family(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=KINDS)
def guarded(hosts: Lab, family: str, request: pytest.FixtureRequest) -> Guarded:
    program = str(request.param)
    made = Guarded(hosts, program, SERVER_4, CLIENT_4)
    if family == "IPv6":
        made = Guarded(hosts, program.replace("iptables", "ip6tables"), SERVER_6, CLIENT_6)
    made.iptables(f"-A INPUT {PORT} -j DROP")
    return made


@pytest.mark.parametrize("rule", [PLAIN, BY_PROGRAM], ids=["plain", "by the program"])
@pytest.mark.parametrize("ban", ["-j DROP", "-p tcp -j REJECT"])
def test_who_was_banned_and_knocks_again_gets_in(guarded: Guarded, rule: str, ban: str) -> None:
    daemon = guarded.start(f"-I INPUT {rule}", f"-D INPUT {rule}", 3)
    with guarded.hosts.listen(22, guarded.server):
        guarded.knock(daemon)
        until(guarded.reaches, "the port opens")
        guarded.iptables(f"-I INPUT -s {guarded.client} {ban}")
        assert not guarded.reaches()
        guarded.knock(daemon)
        until(guarded.reaches, "the port opens again")
        assert guarded.ours() == [0]
        daemon.wait_for("d: its rule was there already, moved in front of -A INPUT -s")
        daemon.wait_for("command timeout")
        until(lambda: guarded.ours() == [], "one closing closes it")
    assert "non-zero" not in daemon.text()
    assert "opens nothing" not in daemon.text()


def test_a_ban_in_a_chain_of_its_own_is_one_too(guarded: Guarded) -> None:
    daemon = guarded.start(f"-I INPUT {PLAIN}")
    guarded.iptables("-N bans")
    guarded.iptables(f"-A bans -s {guarded.client} -j REJECT")
    with guarded.hosts.listen(22, guarded.server):
        guarded.knock(daemon)
        until(guarded.reaches, "the port opens")
        guarded.iptables("-I INPUT -p tcp -m multiport --dports 22,23 -j bans")
        assert not guarded.reaches()
        guarded.knock(daemon)
        until(guarded.reaches, "the port opens again")
        assert guarded.ours() == [0]


def test_what_stands_before_it_and_cannot_overrule_it_stays_there(guarded: Guarded) -> None:
    daemon = guarded.start(f"-I INPUT {PLAIN}")
    guarded.knock(daemon)
    until(lambda: guarded.ours() == [0], "the rule is there")
    others = ["-i lo -j ACCEPT", "-p udp -j DROP", f"! -s {guarded.client} -j DROP", "-p tcp"]
    for other in others:
        guarded.iptables(f"-I INPUT {other}")
    guarded.knock(daemon)
    daemon.wait_for("running command", times=2)
    assert guarded.ours() == [len(others)]
    assert "moved" not in daemon.text()


@pytest.mark.parametrize("rule", [PLAIN, BY_PROGRAM], ids=["plain", "by the program"])
def test_a_rule_of_the_admins_own_stays_behind_when_the_door_closes(
    guarded: Guarded, rule: str
) -> None:
    own = rule.replace("%IP%", guarded.client)
    guarded.iptables(f"-A INPUT {own}")
    daemon = guarded.start(f"-I INPUT {rule}", f"-D INPUT {rule}", 1)
    with guarded.hosts.listen(22, guarded.server):
        guarded.knock(daemon)
        until(guarded.reaches, "the port opens")
        assert guarded.ours() == [0, 2]
        daemon.wait_for("command timeout")
        until(lambda: guarded.ours() == [1], "ours goes, his stays")
        assert not guarded.reaches()


@pytest.mark.parametrize("rule", [PLAIN, BY_PROGRAM], ids=["plain", "by the program"])
def test_a_rule_is_moved_to_its_number_and_not_further(guarded: Guarded, rule: str) -> None:
    guarded.iptables("-I INPUT -i lo -j ACCEPT")
    daemon = guarded.start(f"-I INPUT 2 {rule}")
    guarded.knock(daemon)
    until(lambda: guarded.ours() == [1], "the rule is there")
    guarded.iptables(f"-I INPUT 2 -s {guarded.client} -j DROP")
    guarded.knock(daemon)
    until(lambda: guarded.ours() == [1], "it is moved")
    daemon.wait_for("moved in front")
    guarded.iptables(f"-I INPUT -s {guarded.client} -j DROP")
    guarded.knock(daemon)
    daemon.wait_for("opens nothing: it stands behind")
    assert guarded.ours() == [2]


@pytest.mark.parametrize("rule", [PLAIN, BY_PROGRAM], ids=["plain", "by the program"])
def test_an_old_rule_that_cannot_be_moved_is_told_like_a_new_one(
    guarded: Guarded, rule: str
) -> None:
    guarded.iptables("-F INPUT")
    daemon = guarded.start(f"-A INPUT {rule}")
    guarded.knock(daemon)
    until(lambda: guarded.ours() == [0], "the rule is there")
    guarded.iptables("-A INPUT -j DROP")
    guarded.knock(daemon)
    daemon.wait_for("running command", times=2)
    guarded.iptables(f"-I INPUT {PORT} -j DROP")
    guarded.knock(daemon)
    daemon.wait_for("opens nothing: it stands behind -A INPUT -p tcp -m tcp --dport 22 -j DROP")
    daemon.stop()
    assert daemon.text().count("opens nothing") == 1
    assert guarded.ours() == [1]


def test_a_rule_that_was_moved_is_closed_after_a_restart(guarded: Guarded) -> None:
    config = (f"-I INPUT {PLAIN}", f"-D INPUT {PLAIN}", 4)
    first = guarded.start(*config)
    guarded.knock(first)
    until(lambda: guarded.ours() == [0], "the rule is there")
    guarded.iptables(f"-I INPUT -s {guarded.client} -j DROP")
    guarded.knock(first)
    until(lambda: guarded.ours() == [0], "it is in front")
    first.stop()
    path = next(iter(sorted(guarded.hosts.folder.glob("knockd-*.conf"))))
    second = guarded.hosts.start(path)
    second.wait_for("command timeout")
    until(lambda: guarded.ours() == [], "it is closed")
    assert "non-zero" not in second.text()


def test_a_move_that_fails_half_way_leaves_nothing_that_is_thought_open(
    hosts: Lab, tmp_path: Path
) -> None:
    """By the program a rule is taken away before it is put in front."""
    program = tmp_path / "xtables-nft-multi"  # of no release that is known
    fails = tmp_path / "fails"
    program.write_text(
        f'#!/bin/sh\ncase "$1" in -I) test ! -e {fails} || exit 3 ;; esac\nexec iptables-nft "$@"\n'
    )
    program.chmod(0o755)
    iptables = tmp_path / "iptables"
    iptables.symlink_to(program)
    guarded = Guarded(hosts, str(iptables), SERVER_4, CLIENT_4)
    guarded.iptables(f"-A INPUT {PORT} -j DROP")
    daemon = guarded.start(f"-I INPUT {PLAIN}", f"-D INPUT {PLAIN}", 3)
    guarded.knock(daemon)
    until(lambda: guarded.ours() == [0], "the rule is there")
    guarded.iptables(f"-I INPUT -s {CLIENT_4} -j DROP")
    fails.touch()
    guarded.knock(daemon)
    daemon.wait_for("command returned non-zero status code (3)")
    assert guarded.ours() == []
    fails.unlink()
    guarded.knock(daemon)
    until(lambda: guarded.ours() == [0], "the rule is in front")
    daemon.wait_for("command timeout")
    until(lambda: guarded.ours() == [], "one closing closes it")
    daemon.stop()
    assert daemon.text().count("command timeout") == 1
    assert daemon.text().count("non-zero") == 1
