"""The nouns of pyknockd: what a configuration, a packet and a change are made of.

Everything here is a frozen value. Times are seconds as ``float``; addresses are the text that
``inet_ntop`` gives, in its shortest form, so that two equal addresses are two equal strings. What
happens is in ``pyknockd.model.events``.
"""

from pyknockd.model.changes import Change, ChangeKind
from pyknockd.model.configuration import (
    ANY_INTERFACE,
    AUTO_INTERFACE,
    Config,
    Extras,
    Limits,
    Remark,
    Severity,
    Timers,
)
from pyknockd.model.doors import PLACEHOLDER, Command, Door, Step, expand, templates
from pyknockd.model.history import Past, Question
from pyknockd.model.packets import Flags, Knock, Link, Listen, Protocol

__all__ = [
    "ANY_INTERFACE",
    "AUTO_INTERFACE",
    "PLACEHOLDER",
    "Change",
    "ChangeKind",
    "Command",
    "Config",
    "Door",
    "Extras",
    "Flags",
    "Knock",
    "Limits",
    "Link",
    "Listen",
    "Past",
    "Protocol",
    "Question",
    "Remark",
    "Severity",
    "Step",
    "Timers",
    "expand",
    "templates",
]
