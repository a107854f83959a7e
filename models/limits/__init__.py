"""Limits on how often somebody may ask, with names, in windows that begin at round times."""
