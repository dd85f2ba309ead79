"""Draws that depend on nothing but their key, so that a run repeats and pairs are real pairs."""

from hashlib import blake2b


def chance(seed: int, *key: str) -> float:
    """A number in [0, 1) that is the same for the same seed and key, on every machine."""
    text = "\x1f".join((str(seed), *key))
    digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) / 2.0**64
