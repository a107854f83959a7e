"""The history of the schema: one file a step, applied in order by models/migrate.py."""
