"""Every word said to SQL about signing keys; one text for PostgreSQL and SQLite."""

from typing import Final

from sqlalchemy import bindparam, delete, insert, select

from models.tokens.tables import key

ADD: Final = insert(key)
ALL: Final = select(key).order_by(key.c.signs_from_ms, key.c.kid)
DELETE: Final = delete(key).where(key.c.kid == bindparam("of_kid"))
