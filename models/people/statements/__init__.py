"""Every word said to SQL about people; one text for PostgreSQL and SQLite."""
