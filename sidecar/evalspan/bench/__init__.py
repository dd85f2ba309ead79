"""Benchmarks over recorded data with ground truth; one file each, found by its name.

`python -m evalspan.bench NAME --data DIR --json` loads `NAME.py` of this folder and prints what
its ``run(data)`` returns. A benchmark may use any room. Files of truth are read by the functions
that score and are never handed to what is scored.
"""
