"""Stand a site behind a waiting room: middleware for ASGI and for WSGI.

Who shows a session of the room is let through, checked offline against published keys; who shows
none is led to the room. Needs httpx and PyJWT with `cryptography`.
"""

from stanchion_client.protect.asgi import AsgiWaitingRoom
from stanchion_client.protect.protection import Protection
from stanchion_client.protect.tokens import Session
from stanchion_client.protect.wsgi import WsgiWaitingRoom

__all__ = ["AsgiWaitingRoom", "Protection", "Session", "WsgiWaitingRoom"]
