"""Knock → event: who has shown that he may."""

from pyknockd.proof.proofs import Marked, Proofs

__all__ = ["Marked", "Proofs"]
