"""The nouns of pyknockd: what a configuration, a packet and a change are made of.

Everything here is a frozen value. Times are seconds as ``float``; addresses are the text that
``inet_ntop`` gives, in its shortest form, so that two equal addresses are two equal strings. What
happens is in ``pyknockd.model.events``.
"""

from pyknockd.model.alerts import Alert, Per, When
from pyknockd.model.changes import Change, ChangeKind
from pyknockd.model.configuration import (
    ANY_INTERFACE,
    AUTO_INTERFACE,
    Config,
    Directive,
    DoorSettings,
    Extras,
    Limits,
    Remark,
    Severity,
    Timers,
)
from pyknockd.model.doors import (
    FEW_SEQUENCES,
    OTHER_PLACEHOLDERS,
    PLACEHOLDER,
    Command,
    Door,
    InForce,
    Step,
    expand,
    templates,
)
from pyknockd.model.history import Past, Question
from pyknockd.model.packets import Flags, Knock, Link, Listen, Protocol
from pyknockd.model.policy import Network, Policy

__all__ = [
    "ANY_INTERFACE",
    "AUTO_INTERFACE",
    "FEW_SEQUENCES",
    "OTHER_PLACEHOLDERS",
    "PLACEHOLDER",
    "Alert",
    "Change",
    "ChangeKind",
    "Command",
    "Config",
    "Directive",
    "Door",
    "DoorSettings",
    "Extras",
    "Flags",
    "InForce",
    "Knock",
    "Limits",
    "Link",
    "Listen",
    "Network",
    "Past",
    "Per",
    "Policy",
    "Protocol",
    "Question",
    "Remark",
    "Severity",
    "Step",
    "Timers",
    "When",
    "expand",
    "templates",
]
