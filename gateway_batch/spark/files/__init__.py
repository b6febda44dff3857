"""Tables in files: reading and writing them."""
