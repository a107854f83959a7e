"""Signed tokens (JWT) that anybody can check offline, and the keys that sign them.

Keys lie in SQL, so every process signs and checks with the same ones, and are published as a JWK
set. A key is published before it signs and stays until what it signed is over, so a verifier that
caches the set is never behind. The algorithm is the key's, never what a token says of itself.
"""
