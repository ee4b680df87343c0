"""hosts.yaml, the user's and the system's, read as one; and its hosts by their names."""

from __future__ import annotations

import os
from pathlib import Path

from pyknockd.client.errands import ClientError
from pyknockd.client.hosts import Host, Hosts, parse
from pyknockd.client.onetime import MOST_BYTES, look


def read_hosts(paths: list[Path]) -> Hosts:
    """All of them as one; of a name in two the first holds. Raises ClientError."""
    found = [_read(path) for path in paths]
    hosts = {host.errand.name: host for one in reversed(found) for host in one.hosts}
    groups = {group.name: group for one in reversed(found) for group in one.groups}
    return Hosts(tuple(hosts.values()), tuple(groups.values()))


def _read(path: Path) -> Hosts:
    try:
        with path.open("rb") as file:
            look(path, os.fstat(file.fileno()))
            text = file.read(MOST_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise ClientError(f"{path}: {getattr(error, 'strerror', error)}") from error
    hosts, remarks = parse(text)
    if remarks:
        raise ClientError("\nknock: ".join(f"{path}:{one.line}: {one.text}" for one in remarks))
    return hosts


def named(hosts: Hosts, name: str) -> Host:
    """A host by its name. Raises ClientError."""
    for host in hosts.hosts:
        if host.errand.name == name:
            return host
    known = ", ".join(host.errand.name for host in hosts.hosts) or "none"
    raise ClientError(f"no host {name!r} in hosts.yaml; there are: {known}")


def members(hosts: Hosts, operands: tuple[str, ...]) -> list[Host]:
    """``@group`` and names → hosts, each once. Raises ClientError."""
    groups = {group.name: group.members for group in hosts.groups}
    names: list[str] = []
    for operand in operands:
        name = operand.removeprefix("@")
        names += groups.get(name, (name,)) if operand.startswith("@") else (name,)
    return [named(hosts, name) for name in dict.fromkeys(names) if name]
