"""What workers do for messages."""
