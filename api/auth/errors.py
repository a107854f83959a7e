"""Why somebody is not let through."""

from models.errors import ForbiddenError, UnauthenticatedError


class InvalidKeyError(UnauthenticatedError):
    """The API key is missing or wrong."""

    code = "invalid_key"

    def __str__(self) -> str:
        return "Invalid or missing API key"


class InvalidAdminKeyError(ForbiddenError):
    """The admin key is missing or wrong; the contract of rooms says 403."""

    code = "invalid_admin_key"

    def __str__(self) -> str:
        return "Invalid or missing admin key"


class NotSignedInError(UnauthenticatedError):
    """The path is for people, and nobody is logged in."""

    code = "not_signed_in"

    def __str__(self) -> str:
        return "Authentication required"


class InvalidSessionError(UnauthenticatedError):
    """The session of the cookie is over, or never was."""

    code = "invalid_session"

    def __str__(self) -> str:
        return "Invalid session"


class ForbiddenRoleError(ForbiddenError):
    """The user is known and the role does not reach this far."""

    code = "forbidden_role"

    def __init__(self, role: str) -> None:
        super().__init__(role)
        self.role = role

    def __str__(self) -> str:
        return f"role {self.role} may not do this"


class UnlistedPathError(ForbiddenError):
    """Something answers at this path, and the table does not say for whom: so for nobody."""

    code = "unlisted_path"

    def __str__(self) -> str:
        return "nobody is allowed here"


class ForeignHostError(ForbiddenError):
    """Without a key only this machine's own names are served, against rebinding of names."""

    code = "foreign_host"

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host

    def __str__(self) -> str:
        return f"host {self.host!r} is served only when STANCHION_SECRET_KEY is set"


class ForeignOriginError(ForbiddenError):
    """A page of another site may not use what the browser knows: its cookie, its way to us."""

    code = "foreign_origin"

    def __init__(self, origin: str) -> None:
        super().__init__(origin)
        self.origin = origin

    def __str__(self) -> str:
        return f"origin {self.origin!r} is not listed in STANCHION_CORS_ORIGINS"


class LocalOnlyError(ForbiddenError):
    """Only this machine may ask, or somebody with the key."""

    code = "local_only"

    def __str__(self) -> str:
        return "only this machine may ask without a key"
