"""Threads: how many there are to be, items read ahead, batches, results in order."""
