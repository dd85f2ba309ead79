"""Dialects: one file each, found by its name; the file holds a `DIALECT`."""
