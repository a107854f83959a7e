"""Schedules, which put messages in at moments that somebody set: once for each moment."""
