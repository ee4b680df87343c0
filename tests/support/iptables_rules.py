"""Rules for iptables to write, and which of them are the same rule in other words."""

from __future__ import annotations

import random
import shlex
from itertools import product

from pyknockd.firewall.iptables import parse
from pyknockd.firewall.nft.statement import Form, form
from pyknockd.firewall.rule import Family

PROGRAMS = {Family.IPV4: "iptables-nft", Family.IPV6: "ip6tables-nft"}
SOURCES = {
    Family.IPV4: [
        *("", "-s 192.0.2.1", "! -s 192.0.2.1", "-s 192.0.2.0/24", "! -s 10.0.0.0/8"),
        *("-s 192.0.0.0/20", "! -s 128.0.0.0/1", "-s 192.0.2.128/25", "-s 0.0.0.0/0", "-s 0.0.0.0"),
    ],
    # ip6tables does not compare masks: each network has an address of its own.
    Family.IPV6: [
        *("", "-s 2001:db8::1", "! -s 2001:db8::2", "-s 2001:db8::/64", "! -s fe80::/10"),
        *("-s 2001:db8:8000::/35", "-s ::/0", "-s ::ffff:192.0.2.1", "-s 8000::/1"),
    ],
}
DESTINATIONS = {
    Family.IPV4: ["", "", "-d 10.0.0.1", "! -d 10.0.0.0/9", "-d 10.0.0.0/16"],
    Family.IPV6: ["", "", "-d ::1", "! -d 2001:db8::/33", "-d 2001:db8::/48"],
}
INTERFACES = [
    *("", "", "", "-i eth0", "! -i eth0", "-i eth+", "! -i wg+", "-o lo", "! -o br-0+"),
    *("-i abcdefghijklmno", "! -i abcdefghijklmn+", "-i e -o f"),
]
PORTS = ["22", "0", "65535", "22:25", "1024:65535", "65534:65535", "0:0", "22:22"]
FROM_ZERO = ["0:1023", "0:65534"]
PROTOCOLS = [
    *("", "-p tcp", "! -p udp", "-p all"),
    *(f"-p tcp --dport {port}" for port in (*PORTS, *FROM_ZERO)),
    *(f"-p udp --sport {port}" for port in (*PORTS, *FROM_ZERO)),
    *(f"-p udp ! --dport {port}" for port in PORTS),
    *(f"-p tcp ! --sport {port}" for port in PORTS),
    "-p tcp -m tcp --dport 22",
    "-p udp --sport 53 --dport 1024:65535",
    "-p tcp --sport 7 --dport 22",
    "-p tcp --sport 7 ! --dport 22",
    "-p tcp --sport 0:6 ! --dport 22:25",
    "-p tcp --syn",
    "-p tcp ! --syn",
    "-p tcp --syn --dport 22",
    "-p tcp --tcp-flags SYN,ACK,FIN SYN --sport 1:5 --dport 22",
    "-p tcp ! --tcp-flags ALL NONE --dport 22:25",
]
ALONE = {
    Family.IPV4: ["-p icmp", "! -p icmp", "-p esp"],
    Family.IPV6: ["-p ipv6-icmp", "! -p icmpv6"],
}
VERDICTS = ["-j ACCEPT", "-j ACCEPT", "-j DROP", "-j RETURN", "-j guarded", "-g guarded", ""]
# What one release or the other does not find again after it has written it itself: two comparisons
# become one, which is true of other packets; what is not 0:N becomes N+1:65535.
MISREAD = [
    *("-p tcp ! --sport 7 ! --dport 22 -j ACCEPT", "-p tcp ! --dport 0:1023 -j ACCEPT"),
    *("-p udp ! --sport 0:1023 -j ACCEPT", "-p udp ! --dport 0:65534 -j DROP"),
]

# What only iptables can write.
EXTENSIONS = [
    *(
        "-m conntrack --ctstate NEW",
        "-m state --state NEW,ESTABLISHED",
        "-m comment --comment word",
    ),
    *("-p tcp -m multiport --dports 22,80", "-m limit --limit 3/minute", "-m mark --mark 1"),
    *("-m mac --mac-source 00:11:22:33:44:55", "-m addrtype --dst-type LOCAL", "-p tcp -m tcp"),
    *("-p udp -m udp", "-p tcp --tcp-option 2", "-m pkttype --pkt-type host"),
    *(
        "-p tcp -m conntrack --ctstate NEW -m tcp --dport 22",
        "-p tcp --dport 22 -m comment --comment x",
    ),
    *("-m recent --name knock --rcheck", "-m length --length 5", "-m helper --helper ftp"),
]
EXTENSIONS_OF = {
    Family.IPV4: [
        "-p icmp --icmp-type 8",
        "-f",
        "! -f",
        "-m ttl --ttl-eq 5",
        "-m iprange --src-range 192.0.2.1-192.0.2.9",
    ],
    Family.IPV6: ["-p icmpv6 --icmpv6-type 128", "-m hl --hl-eq 5", "-m ipv6header --header frag"],
}
TARGETS = [
    *("-j REJECT", "-j LOG", "-j LOG --log-prefix knock", "-j NFLOG", "-j NFQUEUE"),
    *("-j MARK --set-mark 1", "-j TRACE"),
]
CHAIN = "FORWARD"  # where both interfaces may be named
SAMPLE = 120


def plain_rules(family: Family) -> list[str]:
    """Rules of conditions and a verdict alone: each part by itself, and many together."""
    protocols = [*PROTOCOLS, *ALONE[family]]
    axes = [SOURCES[family], DESTINATIONS[family], INTERFACES, protocols, VERDICTS]
    alone = [f"{part} -j ACCEPT" for axis in axes[:-1] for part in axis]
    together = list(product(*axes))
    chosen = random.Random(1811).sample(together, SAMPLE)
    rules = [*alone, *VERDICTS, *(" ".join(parts) for parts in chosen)]
    return list(dict.fromkeys(" ".join(rule.split()) for rule in rules))


def other_rules(family: Family) -> list[str]:
    """Rules with something in them that is iptables' own."""
    source = SOURCES[family][1]
    extensions = [*EXTENSIONS, *EXTENSIONS_OF[family]]
    rules = [f"{front} {extension}" for front in ("", source) for extension in extensions]
    rules = [f"{rule} {verdict}" for rule in rules for verdict in ("-j ACCEPT", "")]
    return [" ".join(rule.split()) for rule in [*rules, *(f"{source} {t}" for t in TARGETS)]]


def formed(words: str, family: Family) -> Form | None:
    """What a rule is to libnftables, if it can be said."""
    rule = parse(["-A", CHAIN, *shlex.split(words)])
    return None if rule is None else form(rule, family)


def unequal(rules: list[str], family: Family) -> list[str]:
    """Those that have a form, and of those that mean the same the first."""
    found: dict[object, str] = {}
    for words in rules:
        said = formed(words, family)
        if said is not None:
            found.setdefault(said.meaning, words)
    return list(found.values())
