"""Messages: a durable lease queue for programs."""
