"""Train codecs: `neucodec train`, and `neucodec export` for what comes of it."""
