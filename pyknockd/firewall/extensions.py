"""The matches and targets that a ``Rule`` can hold, and their options, from iptables-extensions(8).

The number behind an option is how many values it takes.
"""

from __future__ import annotations

_PORTS = {"source-port": 1, "sport": 1, "destination-port": 1, "dport": 1}
_CONNTRACK = (
    *("ctstate", "ctproto", "ctorigsrc", "ctorigdst", "ctreplsrc", "ctrepldst", "ctorigsrcport"),
    *("ctorigdstport", "ctreplsrcport", "ctrepldstport", "ctstatus", "ctexpire", "ctdir"),
)
_RECENT = ("set", "rcheck", "update", "remove", "reap", "rttl", "rsource", "rdest")
_LOG = ("log-tcp-sequence", "log-tcp-options", "log-ip-options", "log-uid", "log-macdecode")
_NAT = {"random": 0, "persistent": 0}

MATCHES: dict[str, dict[str, int]] = {
    "tcp": {**_PORTS, "tcp-flags": 2, "syn": 0, "tcp-option": 1},
    "udp": _PORTS,
    "icmp": {"icmp-type": 1},
    "icmp6": {"icmpv6-type": 1},
    "multiport": {"source-ports": 1, "sports": 1, "destination-ports": 1, "dports": 1, "ports": 1},
    "conntrack": dict.fromkeys(_CONNTRACK, 1),
    "state": {"state": 1},
    "comment": {"comment": 1},
    "limit": {"limit": 1, "limit-burst": 1},
    "mark": {"mark": 1},
    "iprange": {"src-range": 1, "dst-range": 1},
    "mac": {"mac-source": 1},
    "addrtype": {"src-type": 1, "dst-type": 1, "limit-iface-in": 0, "limit-iface-out": 0},
    "recent": {
        **dict.fromkeys(_RECENT, 0),
        **dict.fromkeys(("name", "seconds", "hitcount", "mask"), 1),
    },
    "set": {"match-set": 2, "return-nomatch": 0},
}
TARGETS: dict[str, dict[str, int]] = {
    "ACCEPT": {},
    "DROP": {},
    "RETURN": {},
    "REJECT": {"reject-with": 1},
    "LOG": {"log-prefix": 1, "log-level": 1, **dict.fromkeys(_LOG, 0)},
    "REDIRECT": {"to-ports": 1, "random": 0},
    "DNAT": {"to-destination": 1, **_NAT},
    "SNAT": {"to-source": 1, "random-fully": 0, **_NAT},
    "MASQUERADE": {"to-ports": 1, "random": 0, "random-fully": 0},
    "MARK": dict.fromkeys(("set-mark", "set-xmark", "and-mark", "or-mark", "xor-mark"), 1),
}

MATCH_NAMES = {"icmpv6": "icmp6"}  # another name → the one that iptables-save prints
# protocol → the match that its options load
IMPLICIT_MATCHES = {
    "tcp": "tcp",
    "6": "tcp",
    "udp": "udp",
    "17": "udp",
    "icmp": "icmp",
    "1": "icmp",
    "icmpv6": "icmp6",
    "ipv6-icmp": "icmp6",
    "58": "icmp6",
}
