"""Knock → event: who has shown that he may."""

from pyknockd.proof.onetime import Copies
from pyknockd.proof.proofs import Marked, Proofs

__all__ = ["Copies", "Marked", "Proofs"]
