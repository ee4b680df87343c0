"""The names of iptables' programs, and for which address family each is."""

from __future__ import annotations

from collections.abc import Sequence

from pyknockd.firewall.rule import Family
from pyknockd.system.shell import split

_FAMILIES = {"iptables": Family.IPV4, "ip6tables": Family.IPV6}
_NAMES = {
    f"{name}{kind}": family
    for name, family in _FAMILIES.items()
    for kind in ("", "-legacy", "-nft")
}


def is_iptables(words: Sequence[str]) -> bool:
    """Whether ``words`` call iptables or ip6tables, under any of their names."""
    return bool(words) and base_name(words[0]) in _NAMES


def family(name: str) -> Family:
    """The family whose rules the program changes."""
    return _NAMES[base_name(name)]


def is_for_ipv6(words: Sequence[str]) -> bool | None:
    """Whether a command changes the rules of IPv6, or those of IPv4; None if it is not iptables'."""
    return family(words[0]) is Family.IPV6 if is_iptables(words) else None


def for_other_family(template: str) -> str:
    """The iptables command ``template`` with the program of the other address family."""
    name = (split(template) or [""])[0]
    base = base_name(name)
    other = base.replace("ip6", "ip") if base.startswith("ip6") else base.replace("ip", "ip6", 1)
    return template.replace(name, name.removesuffix(base) + other, 1)


def base_name(path: str) -> str:
    """What stands behind the last slash."""
    return path.rpartition("/")[2]
