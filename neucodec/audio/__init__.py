"""Samples in and out: WAV, FLAC, PCM and all that libsndfile reads."""
