"""Every word said to SQL about tickets; one text for PostgreSQL and SQLite."""
