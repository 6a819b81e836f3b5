"""Reading damaged files: finding the way again behind what is broken."""
