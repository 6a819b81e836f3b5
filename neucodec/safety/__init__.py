"""Makes data and names from strangers harmless. Imports nothing of neucodec."""
