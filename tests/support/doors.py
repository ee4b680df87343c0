"""Doors as knockd.conf describes them, and knocks at them from sources that are not there."""

from __future__ import annotations

import itertools
import socket

from tests.support.lab import SERVER_4, Lab
from tests.support.packets import Route, ipv4, tcp

EVERY_LINE = "limits:\n  log_lines: 1000000\n"
"""A pyknockd.yaml for tests that count lines of a thousand things a second."""

KINDS = ["iptables-nft", "iptables-legacy"]

GOOD = (
    "[options]\nInterface = nowhere0\n[ssh]\nsequence = 7000,8000\ntcpflags = syn\ncommand = true\n"
)
"""A file without a mistake, and without that interface."""

LOGGED = """
[options]
LogFile = {}
[door]
sequence = 7000,8000,9000
tcpflags = syn
seq_timeout = 3
command = exit 3
cmd_timeout = 1
stop_command = true %IP%
[other]
sequence = 6000,6001
seq_timeout = 1
command = true
"""
"""Doors that bring about every kind of line; {} is the log file."""

_numbers = itertools.count(1)


def ssh(kind: str, *, timed: float | None = None, steps: str = "7000,8000,9000") -> str:
    """A door to port 22; with ``timed`` it closes by itself, else by the reverse knock."""
    six = kind.replace("iptables", "ip6tables")
    rule = "INPUT -s %IP% -p tcp --dport 22 -j ACCEPT"
    if timed is not None:
        closing = (
            f"cmd_timeout = {timed}\nstop_command = {kind} -D {rule}\n"
            f"stop_command_6 = {six} -D {rule}"
        )
    else:
        closing = (
            f"[closeSSH]\nsequence = 9000,8000,7000\nseq_timeout = 5\ntcpflags = syn\n"
            f"command = {kind} -D {rule}\ncommand_6 = {six} -D {rule}"
        )
    return (
        f"[options]\n[openSSH]\nsequence = {steps}\nseq_timeout = 5\ntcpflags = syn\n"
        f"start_command = {kind} -I {rule}\nstart_command_6 = {six} -I {rule}\n{closing}\n"
    )


def door(command: str, **more: str) -> str:
    """A door that one knock opens."""
    lines = "".join(f"{key} = {value}\n" for key, value in more.items())
    return f"[d]\nsequence = 7000\ntcpflags = syn\nstart_command = {command}\n{lines}"


def syn(source: str, port: int, number: int) -> bytes:
    """An IPv4 packet with a SYN from ``source`` to the server."""
    segment = tcp(port, number=number, source_port=20_000 + number % 10_000)
    return ipv4(segment, route=Route(source, SERVER_4))


def knock_as(hosts: Lab, source: str, *ports: int) -> None:
    """Knock as a host that is not there."""
    with hosts.client.inside():
        raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    with raw:
        for port in ports:
            raw.sendto(syn(source, port, next(_numbers)), (SERVER_4, 0))
