"""Rooms over HTTP: visitors who wait and visit, and who sets the rooms up."""
