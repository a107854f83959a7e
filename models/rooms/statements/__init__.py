"""Every word said to SQL about rooms; one text for PostgreSQL and SQLite."""
