"""Schedules over HTTP and from a terminal: messages that are put in at set moments."""
