"""Knock → event: who has shown that he may."""

from pyknockd.proof.nearby import NEAR_PORTS
from pyknockd.proof.onetime import FilesInMemory
from pyknockd.proof.proofs import Marked, Proofs

__all__ = ["NEAR_PORTS", "FilesInMemory", "Marked", "Proofs"]
