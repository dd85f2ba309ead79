"""Built-in checks: the file name is the name, the docstring says meaning and settings."""
