"""Change points of general series against those that people marked: a check of the dating.

Reads ``series.jsonl`` of the Turing Change Point Dataset: per line a ``series`` of ``raw`` values
and ``annotations``, places (from 0) by person. One setting for every series, none tuned. The
score is the F1 of van den Burg and Williams (2020): a place counts as found within five steps,
each at most once; precision is against the places of all people together, recall the mean over
people; the beginning of the series counts as a change that everybody has.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import numpy as np

from evalspan.detect import change_points

MARGIN = 5


def run(data: Path) -> dict[str, float | int | str]:
    """F1 per series and its mean; that of finding nothing beside it."""
    lines = (data / "series.jsonl").read_text(encoding="utf-8").splitlines()
    scores: dict[str, float] = {}
    nothing = []
    for record in map(json.loads, lines):
        raw = record["series"][0]["raw"]
        values = np.array([value for value in raw if value is not None], dtype=np.float64)
        # places are counted in the series as it is, missing values and all
        places = [index for index, value in enumerate(raw) if value is not None]
        found = [places[index] for index in change_points(values)]
        scores[record["name"]] = f1(record["annotations"], found)
        nothing.append(f1(record["annotations"], []))
    return {
        "series": len(scores),
        "f1": float(np.mean(list(scores.values()))),
        "f1_of_nothing": float(np.mean(nothing)),
        **{f"f1_{name}": value for name, value in scores.items()},
    }


def f1(annotations: Mapping[str, Sequence[int]], found: Sequence[int]) -> float:
    """F1 of the found places against those of every person."""
    people = [{0, *places} for places in annotations.values()]
    said = {0, *found}
    everyone = set().union(*people)
    precision = matched(everyone, said) / len(said)
    recall = float(np.mean([matched(places, said) / len(places) for places in people]))
    return 2 * precision * recall / (precision + recall)


def matched(true: Collection[int], said: Collection[int]) -> int:
    """How many true places have a said one of their own within the margin."""
    free = set(said)
    hits = 0
    for place in sorted(true):
        near = [other for other in free if abs(other - place) <= MARGIN]
        if near:
            free.remove(min(near, key=lambda other: (abs(other - place), other)))
            hits += 1
    return hits
