"""Back-ups: the database, the lines of rooms and the secrets, in one file."""
