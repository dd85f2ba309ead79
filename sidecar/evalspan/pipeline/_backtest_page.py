"""The figures of a backtest as a picture: how much of each planted drop is found after how long.

Self-contained SVG, or the same in a page; light and dark, no script.
"""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

WIDTH, PANEL = 860, 300
LEFT, RIGHT, TOP, BOTTOM = 60, 250, 76, 48
MOST_LETTERS: Final = 87
STEPS: Final = (0.25, 0.5, 1, 2, 5, 10, 20, 50, 100)
COLORS: Final = ("#b8860b", "#2f7ed8", "#c0392b")
STYLE: Final = (
    "svg{font:13px system-ui,sans-serif;color-scheme:light dark;background:Canvas}"
    "text{fill:CanvasText}.axis,.grid{stroke:GrayText;fill:none}.grid{opacity:.25}"
    ".line{fill:none;stroke-width:2}.small{font-size:12px}.title{font-weight:600}"
)


def draw_backtest(found: Sequence[Mapping[str, Any]], suffix: str) -> str:
    """Return the picture for a file that ends in `.svg`, or else the page."""
    return draw(found) if suffix == ".svg" else page(found)


def draw(found: Sequence[Mapping[str, Any]]) -> str:
    """Return an SVG with a panel for each check and slice that drops were planted in."""
    shown = [part for row in found for part in _parts(row)]
    height = PANEL * max(len(shown), 1)
    panels = "".join(_panel(row, PANEL * index) for index, row in enumerate(shown))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img" '
        f'aria-label="Share of planted drops found over time"><style>{STYLE}</style>{panels}</svg>'
    )


def _parts(row: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the row once for all traffic and once for each slice, with the drops there."""
    if not row["drops"]:
        yield row
    for where, drops in groupby(row["drops"], key=itemgetter("where")):
        slice_ = "".join(f", {name}={value}" for name, value in where.items())
        yield {**row, "check": row["check"] + slice_, "drops": list(drops)}


def page(found: Sequence[Mapping[str, Any]]) -> str:
    """Return a page that holds the picture and nothing from elsewhere."""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'\"><title>Backtest of the detector</title>"
        "<style>body{color-scheme:light dark;background:Canvas;color:CanvasText;"
        "font:15px system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "svg{max-width:100%;height:auto}</style><h1>Backtest of the detector</h1>"
        "<p>Verdicts were shuffled so that nothing changes over time; then drops were planted. "
        f"The lines say how many of them raised an alarm after how long.</p>{draw(found)}</html>\n"
    )


def _panel(row: Mapping[str, Any], top: int) -> str:
    last = max([0.0, *(hour / 24 for drop in row["drops"] for hour in drop["delays_hours"])])
    days = 4 * next((step for step in STEPS if 4 * step >= last), last / 4)
    bottom = top + PANEL - BOTTOM
    lines = "".join(
        _line(drop, COLORS[place % len(COLORS)], days, top + TOP, bottom)
        + _label(drop, COLORS[place % len(COLORS)], bottom - 20 * place)
        for place, drop in enumerate(row["drops"])
    )
    return (
        f'<text class="title" x="{LEFT}" y="{top + 24}">{escape(_cut(row["check"]))}</text>'
        f'<text class="small" x="{LEFT}" y="{top + 44}">{escape(_alarms(row))}</text>'
        f"{_axes(days, top + TOP, bottom)}{lines}"
    )


def _cut(title: str) -> str:
    """Return what has room in the width of the picture: about 0.7 em a letter in bold."""
    return title if len(title) <= MOST_LETTERS else f"{title[: MOST_LETTERS - 1]}…"


def _alarms(row: Mapping[str, Any]) -> str:
    false = row["false_alarms"]
    if not false["of"]:
        return f"{row['verdicts']:,} verdicts: too little to compare"
    return (
        f"{row['verdicts']:,} verdicts in {row['days']:.1f} days; false alarms in {false['n']} of "
        f"{false['of']} shuffled histories; minimum effect {100 * row['minimum_effect']:.4g} points"
    )


def _axes(days: float, top: int, bottom: int) -> str:
    right = WIDTH - RIGHT
    parts = [f'<path class="axis" d="M{LEFT} {top}V{bottom}H{right}"/>']
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = bottom - share * (bottom - top)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{right}"/>')
        parts.append(
            f'<text class="small" x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
            f"{100 * share:.0f} %</text>"
        )
    for part in range(5):
        x = LEFT + part / 4 * (right - LEFT)
        parts.append(
            f'<text class="small" x="{x:.1f}" y="{bottom + 18}" text-anchor="middle">'
            f"{days * part / 4:.3g}</text>"
        )
    middle = (LEFT + right) / 2
    parts.append(
        f'<text class="small" x="{middle}" y="{bottom + 36}" text-anchor="middle">'
        "days after the drop</text>"
    )
    parts.append(f'<text class="small" x="{LEFT}" y="{top - 6}">found</text>')
    return "".join(parts)


def _line(drop: Mapping[str, Any], color: str, days: float, top: int, bottom: int) -> str:
    """A step up at each drop that was found."""
    total, right = max(drop["found"]["of"], 1), WIDTH - RIGHT
    path = f"M{LEFT} {bottom}"
    for count, hours in enumerate(drop["delays_hours"], 1):
        x = LEFT + hours / 24 / days * (right - LEFT)
        path += f"H{x:.1f}V{bottom - count / total * (bottom - top):.1f}"
    return f'<path class="line" stroke="{color}" d="{path}H{right}"/>'


def _label(drop: Mapping[str, Any], color: str, y: int) -> str:
    x, found = WIDTH - RIGHT + 12, drop["found"]
    told = f"{found['n']} of {found['of']}"
    if drop["below_minimum_effect"] and not found["n"]:
        told = "below the minimum"
    return (
        f'<path class="line" stroke="{color}" d="M{x} {y - 4}h14"/>'
        f'<text class="small" x="{x + 20}" y="{y}">'
        f"{100 * drop['drop']:.0f} points: {told}</text>"
    )
