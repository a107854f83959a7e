"""Every word said to SQL about mail; one text for PostgreSQL and SQLite."""
