"""Distances between sounds, and adversarial losses, that training weighs."""
