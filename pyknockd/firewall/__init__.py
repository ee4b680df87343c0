"""Change → kernel: which firewall a command means, and the change itself. Knows no door."""

from pyknockd.firewall.firewall import Applied, Firewall, Outcome, Prepared, effect_unrun
from pyknockd.firewall.identity import Effect
from pyknockd.firewall.names import is_iptables
from pyknockd.firewall.program import (
    check_words,
    delete_words,
    deletes,
    deletes_by_number,
)
from pyknockd.firewall.rule import Adding
from pyknockd.firewall.shadowing import Old

__all__ = [
    "Adding",
    "Applied",
    "Effect",
    "Firewall",
    "Old",
    "Outcome",
    "Prepared",
    "check_words",
    "delete_words",
    "deletes",
    "deletes_by_number",
    "effect_unrun",
    "is_iptables",
]
