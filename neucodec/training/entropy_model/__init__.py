"""Training entropy models."""
