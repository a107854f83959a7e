"""What `celery -A workers.main worker` loads: the tasks of every domain, set up."""

import os

from models.settings import load_settings
from workers import messages, people, system
from workers.app import app, configure

__all__ = ["app", "messages", "people", "system"]

configure(load_settings(os.environ))
