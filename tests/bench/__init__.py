"""The benchmark: Debian's knockd 0.8 and pyknockd, in turn, over the same packets.

    python3 -m tests.bench [--json] [--quick] [NAMES…]        as root

Each measure is one function in ``opening.py``, ``clients.py`` or ``resources.py`` that gives typed
rows; ``measures.py`` is the list of them. ``arena.py`` is where a daemon runs: two network
namespaces of its own, so that nothing of the machine's own network or firewall is touched.
"""
