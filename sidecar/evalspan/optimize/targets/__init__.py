"""Targets: where a case is replayed; one file each, the file name is the registration.

A target is either an async function `(prompt, *, case)` that returns an
`Output`, or, where it holds a connection, an async context manager
`(settings)` that yields such a function.
"""
