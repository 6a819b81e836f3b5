"""The embedded codec, Neu."""
