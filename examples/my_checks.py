"""A check of your own: named in evalspan.yaml as `use: my_checks:names_order`."""  # noqa: INP001 - a script, no package

import re

from evalspan.plugin import SpanView, Verdict


def names_order(span: SpanView, *, pattern: str = r"\b[A-Z]-\d{4}\b") -> Verdict:
    """Pass if the answer names every order that the customer named."""
    asked = set(re.findall(pattern, span.input_text or ""))
    if not asked:
        return Verdict(reason="the customer names no order")
    missing = sorted(asked - set(re.findall(pattern, span.output_text or "")))
    if missing:
        return Verdict(passed=False, reason=f"{', '.join(missing)} is not in the answer")
    return Verdict(passed=True)
