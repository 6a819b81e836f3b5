"""The networks, a room or a module for each family, and the table of them."""
