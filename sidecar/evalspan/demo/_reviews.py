"""Part three of the demo app: reviews, in the dialect of another instrumentor (OpenInference)."""

from openai import OpenAI
from opentelemetry import trace

from evalspan.demo._tags import tags

MODEL = "gpt-4o-mini"


def summarise(client: OpenAI, prompt: str, customer: str, review: str) -> str:
    """Stars and topic of one review as JSON text."""
    attributes = {
        "app.customer": customer,
        "gen_ai.prompt.name": "review",
        "gen_ai.prompt.version": "v1",
    }
    tracer = trace.get_tracer("shop-assistant")
    with tags(attributes), tracer.start_as_current_span("summarise review"):
        answer = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "system", "content": prompt}, {"role": "user", "content": review}],
        )
    return answer.choices[0].message.content or ""
