"""From a model's name to checked files: cards, downloads, caches. Never torch."""
