"""Make the page to listen to, and its pictures."""
