"""Checks GPU programs without a GPU: a kernel for every operation, programs that XLA lowers."""
