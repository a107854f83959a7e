"""Back-up and restore from a terminal."""
