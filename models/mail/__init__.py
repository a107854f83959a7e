"""Mail: the spool of an Exim, or of a fleet of them, told truly and handled at once."""
