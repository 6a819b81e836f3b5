"""HiFi-Codec of AcademiCodec (arXiv 2305.02765)."""
