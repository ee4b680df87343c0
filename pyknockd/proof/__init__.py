"""Knock → event: who has shown that he may."""

from pyknockd.proof.proofs import Proofs

__all__ = ["Proofs"]
