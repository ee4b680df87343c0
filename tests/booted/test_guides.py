"""What people follow on the net, step by step, and the firewalls that they have."""

from __future__ import annotations

import socket
import time

import pytest

from tests.support.lab import CLIENT_4, INTERFACE, SERVER_4, until
from tests.support.machine import (
    CONFIG,
    Machine,
    configure,
    knock,
    opens,
    wait_for_line,
    wait_for_rule,
)

RULES_OF_THE_GUIDE = """\
iptables -F
iptables -A INPUT -m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT
iptables -A INPUT -p tcp --dport 22 -j DROP
"""
ONE_DOOR = """\
[options]
    UseSyslog

[door]
    sequence      = 7000,8000,9000
    tcpflags      = syn
    start_command = {start}
    cmd_timeout   = 2
    stop_command  = {stop}
"""


def telnet(host: Machine, *ports: int) -> None:
    """As ``telnet HOST PORT`` and Ctrl-C: an ordinary connection attempt to each port."""
    for port in ports:
        assert not host.lab.reaches(port, seconds=0.3)


def ssh_answers(host: Machine) -> bool:
    """Whether a real sshd greets the client."""
    with host.lab.client.inside(), socket.socket() as probe:
        probe.settimeout(1)
        try:
            probe.connect((SERVER_4, 22))
            return probe.recv(8) == b"SSH-2.0-"
        except OSError:
            return False


def open_and_shut(host: Machine) -> None:
    """The door of ONE_DOOR lets ssh in, and shuts by itself."""
    assert not host.lab.reaches(22)
    knock(host, 7000, 8000, 9000)
    until(lambda: host.lab.reaches(22), f"ssh to open\n{host.journal()}")
    until(lambda: not host.lab.reaches(22), f"ssh to shut\n{host.journal()}")
    assert "non-zero" not in host.journal()


def one_door(host: Machine, start: str, stop: str) -> None:
    configure(host)
    host.write("/etc/knockd.conf", ONE_DOOR.format(start=start, stop=stop))
    host.output("systemctl start knockd")


def test_the_guide_from_the_first_rule_to_the_reboot(debian: Machine) -> None:
    debian.install_pyknockd()
    debian.install("iptables-persistent", "openssh-server")
    debian.output(RULES_OF_THE_GUIDE)
    debian.output("netfilter-persistent save")
    debian.write(
        "/etc/knockd.conf", CONFIG.format(seconds=3, log="UseSyslog").replace("2200", "22")
    )
    debian.write("/etc/default/knockd", f'START_KNOCKD=1\nKNOCKD_OPTS="-i {INTERFACE}"\n')
    debian.output("service knockd start")
    assert not ssh_answers(debian)
    telnet(debian, 7000, 8000, 9000)
    until(lambda: ssh_answers(debian), "ssh after the knocks")
    telnet(debian, 9000, 8000, 7000)
    until(lambda: not ssh_answers(debian), "ssh shut by the reverse knocks")
    telnet(debian, 8000, 7000, 9000)  # wrong order
    telnet(debian, 7000)
    time.sleep(5.2)  # too late
    telnet(debian, 8000)
    assert not ssh_answers(debian)
    assert f"{CLIENT_4}: openSSH: sequence timeout (stage 1)" in debian.journal()
    telnet(debian, 2222, 3333)  # timed
    until(lambda: ssh_answers(debian), "ssh for a time")
    until(lambda: not ssh_answers(debian), "ssh shut after that time")
    debian.reboot()
    assert any("--dport 22 -j DROP" in rule for rule in debian.rules()), "persisted"
    assert not ssh_answers(debian)
    telnet(debian, 7000, 8000, 9000)
    until(lambda: ssh_answers(debian), f"ssh after the reboot\n{debian.journal()}")


def test_ufw_opens_and_shuts(debian: Machine) -> None:
    debian.install_pyknockd()
    debian.install("ufw")
    debian.output("ufw allow 80/tcp && ufw --force enable")
    with debian.lab.listen(22):
        one_door(
            debian,
            "ufw prepend allow from %IP% to any port 22 proto tcp",
            "ufw delete allow from %IP% to any port 22 proto tcp",
        )
        open_and_shut(debian)
    # ufw changes its file after the kernel's rule.
    until(lambda: "22/tcp" not in debian.output("ufw status"), "ufw to forget the rule")


def test_a_host_with_nftables_only(debian: Machine) -> None:
    debian.install_pyknockd()
    debian.output("rm -f /usr/sbin/*tables* /etc/alternatives/*tables*")
    debian.write(
        "/etc/nftables.conf",
        "table inet gate {\n  chain doors {\n  }\n  chain input {\n"
        "    type filter hook input priority filter; policy accept;\n"
        "    jump doors\n    tcp dport 22 drop\n  }\n}\n",
    )
    debian.output("nft -f /etc/nftables.conf")
    with debian.lab.listen(22):
        one_door(
            debian,
            "/usr/sbin/nft add rule inet gate doors ip saddr %IP% tcp dport 22 accept",
            "/usr/sbin/nft flush chain inet gate doors",
        )
        open_and_shut(debian)


def test_a_host_without_the_legacy_programs(debian: Machine) -> None:
    debian.install_pyknockd()
    debian.output("rm -f /usr/sbin/xtables-legacy-multi /usr/sbin/ip*tables-legacy*")
    configure(debian)
    debian.output("systemctl start knockd")
    opens(debian)


def test_a_host_whose_iptables_is_the_legacy_one(debian: Machine) -> None:
    debian.output("update-alternatives --set iptables /usr/sbin/iptables-legacy")
    debian.output("iptables -A INPUT -p tcp --dport 22 -j DROP")
    debian.install_pyknockd()
    configure(debian, seconds=2)
    debian.output("systemctl start knockd")
    with debian.lab.listen(22):
        assert not debian.lab.reaches(22)
        opens(debian)
        knock(debian, 7000, 8000, 9000)
        until(lambda: debian.lab.reaches(22), "ssh to open")
    knock(debian, 2222, 3333)
    wait_for_rule(debian, 2200)
    wait_for_rule(debian, 2200, present=False)


def test_fail2bans_jail_is_off_until_somebody_wants_it(newest: Machine) -> None:
    newest.install_pyknockd()
    newest.install("fail2ban", "python3-systemd")
    newest.write("/etc/fail2ban/jail.d/defaults-debian.conf", "")  # there is no sshd here
    examples = "/usr/share/doc/pyknockd/examples/fail2ban"
    newest.output(f"cp {examples}/knockd-filter.conf /etc/fail2ban/filter.d/knockd.conf")
    newest.output(f"cp {examples}/knockd-jail.conf /etc/fail2ban/jail.d/knockd.conf")
    assert newest.output("fail2ban-client --test").strip().startswith("OK")
    dump = newest.output("fail2ban-client -d")
    assert "['add', 'knockd'" not in dump


def test_fail2ban_bans_who_guesses(debian: Machine) -> None:
    debian.install_pyknockd()
    debian.install("fail2ban", "python3-systemd")
    debian.write("/etc/fail2ban/jail.d/defaults-debian.conf", "")  # there is no sshd here
    examples = "/usr/share/doc/pyknockd/examples/fail2ban"
    debian.output(f"cp {examples}/knockd-filter.conf /etc/fail2ban/filter.d/knockd.conf")
    debian.output(f"cp {examples}/knockd-jail.conf /etc/fail2ban/jail.d/knockd.conf")
    debian.output("sed -i 's/^enabled .*/enabled = true/' /etc/fail2ban/jail.d/knockd.conf")
    configure(debian)
    config = debian.file("/etc/knockd.conf")
    config.write_text(config.read_text().replace("seq_timeout = 5", "seq_timeout = 1"))
    debian.output("systemctl start knockd; systemctl restart fail2ban")
    until(lambda: debian.run("fail2ban-client status knockd").returncode == 0, "the jail")
    for _ in range(5):
        times = debian.journal().count("sequence timeout")
        knock(debian, 7000)
        wait_for_line(debian, "sequence timeout", times + 1)
    until(lambda: CLIENT_4 in debian.output("fail2ban-client status knockd"), "the ban", 20)


def test_fail2bans_filter_reads_the_log_file_too(newest: Machine) -> None:
    newest.install_pyknockd()
    newest.install("fail2ban")
    newest.write(
        "/var/log/knockd.log",
        f"[2026-11-23 04:37] {CLIENT_4}: openSSH: Stage 1\n"
        f"[2026-11-23 04:37] {CLIENT_4}: openSSH: sequence timeout (stage 1)\n"
        f"[2026-11-23 04:37] {CLIENT_4} (a.example): my door: sequence timeout (stage 2)\n"
        f"[2026-11-23 04:37] fd77::2: openSSH: sequence timeout (stage 1)\n"
        f"[2026-11-23 04:37] {CLIENT_4}: openSSH: OPEN SESAME\n",
    )
    newest.output(
        "cp /usr/share/doc/pyknockd/examples/fail2ban/knockd-filter.conf"
        " /etc/fail2ban/filter.d/knockd.conf"
    )
    said = newest.output("fail2ban-regex /var/log/knockd.log /etc/fail2ban/filter.d/knockd.conf")
    assert "3 matched" in said, said


@pytest.mark.parametrize("folder", ["/root", "/usr/local/sbin", "/home/admin/bin"])
def test_commands_do_in_the_fence_what_commands_do(newest: Machine, folder: str) -> None:
    newest.install_pyknockd()
    script = f"{folder}/open.sh"
    newest.write(
        script,
        "#!/bin/sh\nset -e\n"
        'echo "$1 in" >> /var/log/visitors.log\n'
        'echo "# $1" >> /etc/visitors\n'
        "echo here > /tmp/visitor; echo here > /run/visitor; echo here > /root/visitor\n"
        "logger -t visitors came\n"
        "systemctl is-active dbus\n"
        "ip -br address > /dev/null\n"
        "nft list ruleset > /dev/null\n"
        "ip6tables -w -I INPUT -p tcp --dport 22 -j ACCEPT\n"
        "touch /etc/visitors.done\n",
    )
    newest.file(script).chmod(0o755)
    newest.write("/etc/knock-once", " 7000,8000\n 7001,8001\n")
    newest.file("/etc/knock-once").chmod(0o600)
    configure(newest)
    newest.write(
        "/etc/knockd.conf",
        "[options]\nLogFile = /var/log/knockd.log\n[once]\n"
        f"One_Time_Sequences = /etc/knock-once\nCommand = {script} %IP%\n",
    )
    newest.output("systemctl start knockd")
    knock(newest, 7000, 8000)
    until(newest.file("/etc/visitors.done").exists, newest.journal() + "the script's end")
    assert newest.file("/etc/knock-once").read_text().startswith("#7000")
    assert "OPEN SESAME" in newest.file("/var/log/knockd.log").read_text()


def _drop_ins_of_the_manual(host: Machine) -> list[str]:
    """The drop-ins that knockd(1) gives for loosening the fence."""
    manual = host.output("zcat /usr/share/man/man1/knockd.1.gz").replace("\\-", "-")
    examples = [part.split(".EE")[0] for part in manual.split(".EX\n")[1:]]
    return [example for example in examples if example.startswith("[Service]")]


@pytest.mark.parametrize("number", [0, 1])
def test_the_manuals_drop_ins_loosen_the_fence(newest: Machine, number: int) -> None:
    newest.install_pyknockd()
    newest.write(
        "/root/open.sh",
        "#!/bin/sh\nset -e\ntouch /usr/local/visited\nsu nobody -s /bin/sh -c true\n"
        "nice -n -1 true\ntest -e /dev/loop-control -o -e /dev/net\ntouch /root/done\n",
    )
    newest.file("/root/open.sh").chmod(0o755)
    newest.output("touch /dev/loop-control")
    configure(newest)
    newest.write("/etc/knockd.conf", ONE_DOOR.format(start="/root/open.sh", stop="true"))
    newest.output("systemctl start knockd")
    knock(newest, 7000, 8000, 9000)
    wait_for_line(newest, "non-zero", 1)
    newest.write(
        "/etc/systemd/system/knockd.service.d/own.conf", _drop_ins_of_the_manual(newest)[number]
    )
    newest.output("systemctl daemon-reload && systemctl restart knockd")
    knock(newest, 7000, 8000, 9000)
    until(newest.file("/root/done").exists, f"the script's end\n{newest.journal()}")


def test_the_journal_has_each_complaint_once_and_errors_as_errors(newest: Machine) -> None:
    newest.install_pyknockd()
    one_door(newest, "echo out >&2; su nobody -s /bin/sh -c true", "true")
    knock(newest, 7000, 8000, 9000)
    wait_for_line(newest, "non-zero", 1)
    knock(newest, 7000, 8000, 9000)
    wait_for_line(newest, "non-zero", 2)
    errors = newest.output("journalctl -u knockd -p err -o cat").splitlines()
    assert len(errors) == 2
    assert all("command returned non-zero status code" in line for line in errors)
    lines = newest.output("journalctl -u knockd -o cat").splitlines()
    assert sum(line.endswith(": out") for line in lines) == 2
    assert sum("(commands run fenced in: " in line for line in lines) == 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'START_KNOCKD = 1\nKNOCKD_OPTS = "-i {INTERFACE} -d"  # the card\n', "-d is left out"),
        (f"   START_KNOCKD=1 # on\r\n   KNOCKD_OPTS=-i\\ {INTERFACE}\r\n", "listening on"),
        (f"START_KNOCKD=1\nKNOCKD_OPTS=\"-i {INTERFACE} -c '/etc/my doors.conf'\"\n", "listening"),
    ],
)
def test_the_toggle_as_people_write_it(newest: Machine, text: str, line: str) -> None:
    newest.install_pyknockd()
    configure(newest)
    newest.output("cp /etc/knockd.conf '/etc/my doors.conf'")
    newest.write("/etc/default/knockd", text)
    newest.output("systemctl start knockd")
    assert newest.systemctl("is-active knockd") == "active"
    assert line in newest.journal()
    opens(newest)


def test_a_toggle_that_needs_a_shell_is_refused_with_its_line(newest: Machine) -> None:
    newest.install_pyknockd()
    newest.write("/etc/default/knockd", 'START_KNOCKD=1\nKNOCKD_OPTS="-i $CARD"\n')
    newest.output("systemctl start knockd")
    assert newest.systemctl("is-active knockd") == "inactive"
    assert newest.systemctl("is-failed knockd") == "inactive"
    assert "/etc/default/knockd:2: $ would need a shell" in newest.journal()


def test_the_helper_script_adds_once_and_deletes_once(newest: Machine) -> None:
    newest.install_pyknockd()
    helper = "knock_helper_ipt.sh -f 10.0.0.9 -d 22"
    newest.output("iptables -A INPUT -s 10.0.0.9 -p tcp --dport 80 -j ACCEPT")
    newest.output(f"{helper} -i -m && {helper} -a && {helper} --insert --comment='by me'")
    rule = "-A INPUT -s 10.0.0.9/32 -p tcp -m tcp --dport 22"
    ours = [line for line in newest.rules() if line.startswith(rule)]
    assert ours == [f'{rule} -m comment --comment "by knockd" -j ACCEPT']
    assert newest.rules()[0] == ours[0]
    newest.output(f"{helper} -x -t")
    assert len(newest.rules()) == 2
    newest.output(f"{helper} -x && {helper} -x")
    assert len(newest.rules()) == 1
    newest.output("knock_helper_ipt.sh -a -f fd77::9 -d 53 -p udp -c FORWARD")
    newest.output("knock_helper_ipt.sh -a -f fd77::9 -d 53 -p udp -c FORWARD")
    assert newest.rules("ip6tables") == [
        "-A FORWARD -s fd77::9/128 -p udp -m udp --dport 53 -j ACCEPT"
    ]
    assert newest.run("knock_helper_ipt.sh -a -d 22").returncode == 1
    assert newest.run(f"{helper} -a -c NOWHERE").returncode == 1
