"""evalspan: a quality monitor for LLM features in production."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("evalspan")
except PackageNotFoundError:  # running from a source folder that is not installed
    __version__ = "0+source"
