"""Data and names from strangers, made harmless. Imports nothing of neucodec."""
