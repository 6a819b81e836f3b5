"""Training of the embedded codec: corpus, losses and the loop. Run `python -m neucodec.training`."""
