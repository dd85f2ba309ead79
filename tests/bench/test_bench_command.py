"""The command of the benchmarks, over small data of the same shape made here."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from evalspan.bench import __main__ as command
from evalspan.bench import bfcl_streams, multidim_rca

RUNNER = CliRunner()
DAY = 86_400


@pytest.fixture
def app() -> object:
    import typer  # noqa: PLC0415 - the command is a plain function

    made = typer.Typer()
    made.command()(command.main)
    return made


def test_an_unknown_name_is_answered_with_the_near_one(app: object, tmp_path: Path) -> None:
    result = RUNNER.invoke(app, ["bfcl_stream", "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "bfcl_streams" in result.output


def test_both_benchmarks_are_found_by_their_file_names() -> None:
    assert {"bfcl_streams", "multidim_rca"} <= set(command.names())
    assert all(not name.startswith("_") for name in command.names())


def test_the_localisation_benchmark_prints_its_keys(app: object, tmp_path: Path) -> None:
    localisation_data(tmp_path)
    result = RUNNER.invoke(app, ["multidim_rca", "--data", str(tmp_path), "--json"])
    assert result.exit_code == 0, result.output
    figures = json.loads(result.stdout.splitlines()[-1])
    assert {"rs_top1", "rs_top3", "rs_top5", "rs_f1", "s_f1", "l_f1"} <= set(figures)
    assert figures["rs_top1"] == figures["s_f1"] == figures["l_f1"] == 1.0


def localisation_data(folder: Path) -> None:
    """One incident of each kind: cdn 1 fails, and leaves of a=a1 deviate."""
    generator = np.random.default_rng(0)
    rows = [
        {"case": "x", "min": minute, "cdn": str(cdn), "p2p": str(p2p), "cnt": 1000,
         "value": int(generator.binomial(1000, 0.4 if (minute, cdn) == (600, 1) else 0.03))}
        for minute in range(300, 601, 60) for cdn in range(4) for p2p in range(2)
    ]  # fmt: skip
    categorical = pl.col("case").cast(pl.Categorical)
    pl.DataFrame(rows).with_columns(categorical).write_parquet(folder / "rs_real.parquet")
    label = {"case": "x", "timestamp": 600, "cause": [{"cdn": "1"}], "attributes": ["cdn", "p2p"]}
    (folder / "rs_real_labels.jsonl").write_text(json.dumps(label) + "\n", encoding="utf-8")
    leaves = [{"case": "y", "a": f"a{i}", "b": f"b{j}"} for i in range(5) for j in range(6)]
    predict = generator.lognormal(5, 1, 30)
    fall = np.array([0.3 if leaf["a"] == "a1" else 1.0 for leaf in leaves])
    real = predict * fall * (1 + generator.normal(0, 0.02, 30))
    frame = pl.DataFrame(leaves).with_columns(categorical, real=real, predict=predict)
    for kind in ("S", "L"):
        frame.write_parquet(folder / f"synthetic_{kind}.parquet")
        text = json.dumps({"case": "y", "cause": "a=a1"})
        path = folder / f"synthetic_{kind}_labels.jsonl"
        path.write_text(text + "\n", encoding="utf-8")


def test_permuted_streams_keep_everything_but_the_order_of_scores() -> None:
    generator = np.random.default_rng(1)
    events = pl.DataFrame(
        {
            "category": generator.choice(["a", "b"], 400),
            "n_tools": generator.choice(["1", "2", None], 400),
            "score": generator.integers(0, 2, 400).astype(float),
        }
    )
    shuffled = bfcl_streams.permute(events, 3)
    cells = ["category", "n_tools"]
    rates = [
        frame.group_by(cells).agg(pl.col("score").sum()).sort(cells) for frame in (events, shuffled)
    ]
    assert rates[0].equals(rates[1])
    assert shuffled.select(cells).equals(events.select(cells))
    assert not shuffled["score"].equals(events["score"])
    assert bfcl_streams.permute(events, 3).equals(shuffled)


def test_an_incident_is_the_minute_against_the_four_before() -> None:
    events = pl.DataFrame(
        {
            "case": ["x"] * 4,
            "min": [0, 60, 300, 300],
            "cdn": ["1", "1", "1", "2"],
            "value": [9, 1, 5, 2],
            "cnt": [90, 10, 50, 20],
        }
    )
    leaves, dimensions = multidim_rca.incident(events, "x", 300, ["cdn"])
    assert dimensions == ("cdn",)
    assert leaves.sort("cdn").rows() == [("1", 5, 50, 1, 10), ("2", 2, 20, 0, 0)]
