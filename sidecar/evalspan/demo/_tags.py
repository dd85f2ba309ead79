"""Puts the customer and the prompt version on every span: the recipe that the README shows.

The tags live in OpenTelemetry's context, not in its baggage, since baggage leaves the process
with outgoing calls and would tell the model provider who the customer is.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import cast

from opentelemetry import context
from opentelemetry.sdk.trace import Span, SpanProcessor

TAGS = context.create_key("tags")


class TagSpans(SpanProcessor):
    """Copies the tags of the work at hand onto every span that starts in it."""

    def on_start(self, span: Span, parent_context: context.Context | None = None) -> None:
        """Tag a span as it starts."""
        span.set_attributes(
            cast("Mapping[str, str]", context.get_value(TAGS, parent_context) or {})
        )


@contextmanager
def tags(attributes: Mapping[str, str]) -> Iterator[None]:
    """Spans that start inside the block carry these attributes."""
    token = context.attach(context.set_value(TAGS, dict(attributes)))
    try:
        yield
    finally:
        context.detach(token)
