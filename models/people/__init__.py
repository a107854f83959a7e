"""Users, the sessions they open, and the keys that programs show."""
