"""What visitors do within a request: join, ask where they stand, stay, leave.

Nothing is stored for each visitor but bits. Where one stands is answered from the copy of the line
that this process keeps; whenever that copy would refuse somebody, the store itself has the last
word, so that visitors see what they did themselves.
"""
