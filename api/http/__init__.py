"""How every request is read and every answer written, whatever it is about."""
