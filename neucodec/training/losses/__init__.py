"""Compute the losses of training: distances between sounds, and adversarial losses."""
