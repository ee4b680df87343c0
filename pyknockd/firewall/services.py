"""Ports by name, as iptables looks them up: /etc/services.

Not by getservbyname(3): where the host is configured so, that asks a server for what the file lacks.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from pyknockd.firewall.rule import Extension, Rule

_SERVICES = Path("/etc/services")
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
        lines = _SERVICES.read_text(errors="replace").splitlines()
    except OSError:
        return name
    for line in lines:
        words = line.partition("#")[0].split()
        if len(words) > 1 and name in (words[0], *words[2:]):
            port, _, found = words[1].partition("/")
            if found == protocol and port.isdigit():
                return port
    return name
