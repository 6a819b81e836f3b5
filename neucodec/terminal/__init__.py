"""What a person at a terminal meets: messages, progress, times, signals."""
