"""The domain core: what the four queues are, without knowing who calls."""
