"""What is up, what is left, and what ends it."""
