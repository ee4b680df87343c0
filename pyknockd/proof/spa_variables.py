"""Variables of the commands that a packet runs: those of access.conf, ``$IP``, and ours, ``%NAT_IP%``.

Each value is an address, a number or the name of a protocol: nothing that a shell could read as more.
"""

from __future__ import annotations

import re

from pyknockd.model.access import Port
from pyknockd.proof.spa import Grant

_DOLLARS = ("PKT_SRC", "CLIENT_TIMEOUT", "TIMEOUT", "PORT", "PROTO", "SRC", "DST", "IP")
_PERCENTS = ("IP", "PORT", "PROTO", "NAT_IP", "NAT_PORT")
_VARIABLE = re.compile(rf"\$({'|'.join(_DOLLARS)})|%({'|'.join(_PERCENTS)})%")
_ABOUT_PORTS = re.compile(r"\$(PORT|PROTO)|%(PORT|PROTO)%")


def names_port(template: str) -> bool:
    """Whether it matters to this command which port is asked for."""
    return _ABOUT_PORTS.search(template) is not None


def fill(template: str, grant: Grant, port: Port) -> str:
    """``template`` with the values of ``grant``, for one of its ports. Each is filled in once."""
    nat = grant.nat
    dollars = {
        "IP": grant.address,
        "SRC": grant.address,
        "PKT_SRC": grant.arrival.source,
        "DST": grant.arrival.destination,
        "PORT": str(port.number),
        "PROTO": str(port.protocol.value),
        "TIMEOUT": str(grant.message.stamped + grant.seconds),
        "CLIENT_TIMEOUT": str(grant.seconds),
    }
    percents = {
        "IP": grant.address,
        "PORT": str(port.number),
        "PROTO": port.protocol.name.lower(),
        "NAT_IP": nat.host if nat else "",
        "NAT_PORT": str(nat.port) if nat else "",
    }
    return _VARIABLE.sub(
        lambda found: dollars[found[1]] if found[1] else percents[found[2]], template
    )
