"""Rooms: lines of visitors before a site that has room for so many, and who is inside."""
