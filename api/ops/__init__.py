"""The operator's console: pages below `/ops`, and what they ask for."""
