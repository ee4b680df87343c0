"""Change → kernel: which firewall a command means, and the change itself. Knows no door."""

from pyknockd.firewall.firewall import Applied, Firewall, Outcome, Prepared
from pyknockd.firewall.identity import Effect
from pyknockd.firewall.program import delete_words, deletes_by_number, is_iptables

__all__ = [
    "Applied",
    "Effect",
    "Firewall",
    "Outcome",
    "Prepared",
    "delete_words",
    "deletes_by_number",
    "is_iptables",
]
