"""Threads that work side by side and hand on results in order."""
