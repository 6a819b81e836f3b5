"""Range coding of integers, and the frequencies that it goes by."""
