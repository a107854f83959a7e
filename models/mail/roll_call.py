"""Which mail hosts there are, for a command that blocks; requests ask the service."""

from models.database import Database
from models.mail.statements import lists
from models.mail.views import Host


def read_hosts(database: Database) -> list[Host]:
    """Return all hosts by name, with when each was last heard of."""
    with database.begin() as connection:
        return lists.hosts(connection)
