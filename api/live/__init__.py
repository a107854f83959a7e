"""Telling whoever watches what changed: by Socket.IO, by WebSockets, by Server-Sent Events."""
