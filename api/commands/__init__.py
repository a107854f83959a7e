"""The commands that are the processes themselves, and those that belong to no one domain."""
