"""Every word said to SQL about messages: a module for each step of a message's life.

Where the two databases need different words the texts stand side by side; both take the same
parameters and mean the same. Rows travel as arrays on PostgreSQL and as one JSON text on SQLite,
so that a group of any size is one statement.
"""
