"""The background edge: Celery tasks call one job and publish what changed."""
