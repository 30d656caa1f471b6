"""Proofs about a GPU run that need no GPU: a kernel for every operation, programs that XLA lowers."""
