"""Tickets: people who take a number and are called to a counter."""
