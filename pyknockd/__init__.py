"""pyknockd: a port-knocking daemon that takes knockd's place."""

__version__ = "1.0.0"
