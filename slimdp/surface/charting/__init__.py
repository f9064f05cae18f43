"""A surface of a user's own mesh: read, mended, cut into disks, flattened, written as a folder."""
