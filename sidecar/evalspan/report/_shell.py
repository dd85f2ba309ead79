"""The page around the content: self-contained, without a script, and with a policy that says so."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files

from evalspan.report._markup import Markup, el, trusted


@cache
def style() -> str:
    """Return the text of the style sheet."""
    return files("evalspan.report").joinpath("page.css").read_text(encoding="utf-8")


@cache
def policy() -> str:
    """Return the Content-Security-Policy: this style sheet by its hash, and nothing else."""
    digest = b64encode(sha256(style().encode()).digest()).decode()
    return f"default-src 'none'; style-src 'sha256-{digest}'; form-action 'self'; base-uri 'none'"


def page(title: str, *content: Markup | None) -> str:
    """Return a whole HTML document."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy()),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="referrer", content="no-referrer"),
        el("title", title),
        el("style", trusted(style())),
    )
    return "<!DOCTYPE html>\n" + el("html", head, el("body", el("main", *content)), lang="en")
