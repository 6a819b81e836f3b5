"""Networks, quantisers, cards and embedded weights; importing this package imports no torch."""
