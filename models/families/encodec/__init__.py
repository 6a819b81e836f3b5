"""EnCodec (arXiv 2210.13438)."""
