"""Ports by name, as iptables looks them up: /etc/services."""

from __future__ import annotations

import socket
from dataclasses import replace
from functools import lru_cache

from pyknockd.firewall.rule import Extension, Rule

_PORT_OPTIONS = ("sport", "source-port", "dport", "destination-port")


def numbered(rule: Rule) -> Rule:
    """``rule`` with the names of its tcp and udp ports turned into numbers."""
    return replace(rule, matches=tuple(map(_match, rule.matches)))


def _match(match: Extension) -> Extension:
    if match.name not in ("tcp", "udp"):
        return match
    options = [
        replace(option, values=(_port(option.values[0], match.name),))
        if option.name in _PORT_OPTIONS and not option.values[0][0].isdigit()
        else option
        for option in match.options
    ]
    return replace(match, options=tuple(options))


@lru_cache(maxsize=64)
def _port(name: str, protocol: str) -> str:
    try:
        return str(socket.getservbyname(name, protocol))
    except (OSError, UnicodeError):
        return name
