"""What families share: quantisers, spectra, exact products, checkpoints."""
