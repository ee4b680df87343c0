"""``knock``: the client that gets one in.

    arguments → Options → Errand (or several, from hosts.yaml) → packets → the port → a Result

Sockets only: no root, no scapy, and nothing that Linux alone has before somebody asks for it.
"""

from pyknockd.client.command import main
from pyknockd.client.errands import INTERRUPTED

__all__ = ["INTERRUPTED", "main"]
