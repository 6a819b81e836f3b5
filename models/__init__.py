"""Networks, quantisers, cards and embedded weights. Importing this package does not import torch."""
