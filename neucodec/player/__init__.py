"""Pages that play ``.ncf`` files in a browser."""
