"""Renderers: one file each; the file name is the registration.

A renderer is a function `(report)` that returns text or bytes. Whatever a report
holds may come from a trace and be hostile: the renderer escapes it.
"""
