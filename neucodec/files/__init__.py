"""Paths, URLs, pipes, byte streams, and outputs that appear whole or not at all."""
