"""Change → kernel: which firewall a command means, and the change itself. Knows no door."""

from pyknockd.firewall.firewall import Applied, Firewall, Outcome
from pyknockd.firewall.program import is_iptables

__all__ = ["Applied", "Firewall", "Outcome", "is_iptables"]
