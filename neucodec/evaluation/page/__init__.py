"""The page to listen to, and its pictures."""
