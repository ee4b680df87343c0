"""Commands for the other address family than the knock's, which can only fail."""

from __future__ import annotations

from pyknockd.firewall.names import for_other_family, is_for_ipv6
from pyknockd.model import PLACEHOLDER, Door
from pyknockd.system.shell import split

_ADDRESSES = (PLACEHOLDER, "%NET%")


def missing_directives(door: Door, *, over_ipv6: bool) -> tuple[str, ...]:
    """What the file lacks for knocks at ``door`` over IPv6, or over IPv4: the lines to be written.

    None if its commands can do what they say for such a knock, as far as their names tell.
    """
    source = "::" if over_ipv6 else "0.0.0.0"
    if not door.opening.for_source(source):
        return ()
    found = []
    for name, command in (("Start_Command", door.opening), ("Stop_Command", door.closing)):
        template = command.for_source(source)
        if not _is_for_other(template, over_ipv6):
            continue
        written = for_other_family(template)
        if over_ipv6:
            found.append(f"{name}_6 = {written}")
        else:
            found += [f"{name} = {written}"]
            found += [f"{name}_6 = {template}"] if command.v6 is None else []
    return tuple(found)


def is_reached(door: Door, *, over_ipv6: bool) -> bool:
    """Whether knocks at ``door`` can come over IPv6, or over IPv4."""
    return door.target is None or (":" in door.target) is over_ipv6


def _is_for_other(template: str, over_ipv6: bool) -> bool:
    # Without an address in it a command does the same whoever has knocked.
    words = split(template) if any(one in template for one in _ADDRESSES) else None
    return bool(words) and is_for_ipv6(words or ()) is (not over_ipv6)
