"""The legacy tables, through python-iptables."""
