"""Knock → event: who has shown that he may."""

from pyknockd.proof.nearby import NEAR_PORTS
from pyknockd.proof.onetime import Copies
from pyknockd.proof.proofs import Marked, Proofs

__all__ = ["NEAR_PORTS", "Copies", "Marked", "Proofs"]
