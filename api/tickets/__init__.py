"""Tickets over HTTP: kiosks, displays, officers, and who looks after the hall."""
