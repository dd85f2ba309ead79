"""A check of the user's own for the torture, of the shape that sees one span at a time."""

from evalspan.plugin import SpanView, Verdict


def answered(span: SpanView) -> Verdict:
    """Pass if there is an answer."""
    return Verdict(passed=bool(span.output_text))
