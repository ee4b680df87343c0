"""The part ``doors`` of pyknockd.yaml: what it says of each door."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_network

from pyknockd.config.knockd_conf import DOOR
from pyknockd.model import Directive, DoorSettings, Network, Policy
from pyknockd.system import nodes
from pyknockd.system.nodes import Listing, Node, Remarks, Scalar, Setter, Table

_MOST_SECONDS = 10 * 365 * 86_400


def doors_of(node: Node, remarks: Remarks) -> tuple[DoorSettings, ...]:
    """Each door that the file speaks of."""
    if not isinstance(node, Table):
        remarks.expected(node, "the name of each door, and under it KEY: VALUE", "doors")
        return ()
    found: list[DoorSettings] = []
    for pair in node.pairs:
        if not isinstance(pair.key, Scalar) or not pair.key.text:
            remarks.expected(pair.key, "the name of a door")
        elif any(door.name == pair.key.text for door in found):
            remarks.mistake(pair.key, f"the door {pair.key.shown} is there twice")
        else:
            draft = _Draft(remarks)
            place = f"the door {pair.key.shown}"
            nodes.read_table(pair.value, draft.setters(), place, remarks)
            directives = tuple(draft.directives)
            found.append(DoorSettings(pair.key.text, pair.key.line, draft.policy, directives))
    return tuple(found)


def is_interface(text: str) -> bool:
    """Whether ``text`` may be an interface's name."""
    return bool(text) and text.isprintable() and " " not in text


class _Draft:
    """What is said of one door, while it is read."""

    def __init__(self, remarks: Remarks) -> None:
        self.policy = Policy()
        self.directives: list[Directive] = []
        self._remarks = remarks

    def setters(self) -> dict[str, Setter]:
        """One for each key: a policy's, or a directive of knockd.conf's."""
        return {
            "allow": self._networks("allow"),
            "deny": self._networks("deny"),
            "cooldown": self._number("cooldown", _MOST_SECONDS, float),
            "strict": self._strict,
            "forgive": self._number("forgive", 32, int),
            "max_open": self._number("max_open", 1_000_000, int),
            "command_timeout": self._number("command_timeout", 86_400, float),
            "interfaces": self._interfaces,
            "mask": self._mask,
            **{key: self._directive(key) for key in DOOR},
        }

    def _change(self, **changes: object) -> None:
        self.policy = replace(self.policy, **changes)  # type: ignore[arg-type]

    def _networks(self, name: str) -> Setter:
        def set_networks(node: Node) -> None:
            what = "addresses and networks, such as [192.0.2.0/24, '2001:db8::/32']"
            words = nodes.texts(node, what, name, self._remarks)
            found: list[Network] = []
            for word in words or ():
                try:
                    found.append(ip_network(word))
                except ValueError as error:
                    self._remarks.mistake(node, f"{name}: {error}")
            self._change(**{name: tuple(found)})

        return set_networks

    def _number(self, name: str, most: int, kind: Callable[[int], float]) -> Setter:
        def set_number(node: Node) -> None:
            number = nodes.whole_number(node, 1, most, name, self._remarks)
            if number is not None:
                self._change(**{name: kind(number)})

        return set_number

    def _strict(self, node: Node) -> None:
        strict = nodes.yes_or_no(node, "strict", self._remarks)
        if strict is not None:
            self._change(strict=strict)

    def _interfaces(self, node: Node) -> None:
        names = nodes.texts(node, "a list of names", "interfaces", self._remarks)
        if names is not None and all(is_interface(name) for name in names):
            self._change(interfaces=names)
        elif names is not None:
            self._remarks.expected(node, "a list of names", "interfaces")

    def _mask(self, node: Node) -> None:
        def setter(name: str, most: int) -> Setter:
            def set_length(value: Node) -> None:
                length = nodes.whole_number(value, 1, most, name, self._remarks)
                if length is not None:
                    self._change(**{name: length})

            return set_length

        setters = {"v4": setter("v4", 32), "v6": setter("v6", 128)}
        nodes.read_table(node, setters, "mask", self._remarks)

    def _directive(self, key: str) -> Setter:
        """A list is as good as the commas of knockd.conf."""

        def set_directive(node: Node) -> None:
            items = node.items if isinstance(node, Listing) else (node,)
            words = [item.text for item in items if isinstance(item, Scalar)]
            if len(words) != len(items):
                self._remarks.expected(node, "what knockd.conf(5) says", key)
            else:
                self.directives.append(Directive(key, ",".join(words), node.line))

        return set_directive
