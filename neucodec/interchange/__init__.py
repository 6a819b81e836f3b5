"""Codes for others: the files of peers' programs, and tokens."""
