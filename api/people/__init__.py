"""Log-in, log-out and me, as each contract has them; users, keys and the audit log for admins."""
