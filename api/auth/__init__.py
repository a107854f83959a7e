"""Who may call: the guard before every request, and the table that it runs."""
