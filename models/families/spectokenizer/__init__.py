"""SpecTokenizer (Interspeech 2025)."""
