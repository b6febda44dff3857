"""Files of this machine: locks, space that is reserved, and outputs that are moved into place."""
