"""The clock of the background work: when each task is due."""
