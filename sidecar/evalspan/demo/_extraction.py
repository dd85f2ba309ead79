"""Part one of the demo app: schema.org objects out of web pages, with the openai SDK."""

import json

from openai import OpenAI
from opentelemetry import trace

from evalspan.demo._pages import Page
from evalspan.demo._tags import tags

MODEL = "gpt-4o-mini"


def extract(client: OpenAI, prompt: str, version: str, page: Page, *, stream: bool) -> bool:
    """Read one page; says whether the answer was JSON at all, as the app itself would notice."""
    attributes = {
        "app.customer": page.customer,
        "app.page_kind": page.kind,
        "gen_ai.prompt.name": "extract",
        "gen_ai.prompt.version": version,
    }
    tracer = trace.get_tracer("shop-assistant")
    with tags(attributes), tracer.start_as_current_span("extract page") as span:
        text = _ask_streaming(client, prompt, page) if stream else _ask(client, prompt, page)
        try:
            json.loads(text)
        except ValueError:
            span.set_attribute("app.parsed", value=False)
            return False
        return True


def _ask(client: OpenAI, prompt: str, page: Page) -> str:
    answer = client.chat.completions.create(
        model=MODEL,
        temperature=0,
        messages=[
            {"role": "system", "content": prompt},
            {"role": "user", "content": page.text},
        ],
    )
    return answer.choices[0].message.content or ""


def _ask_streaming(client: OpenAI, prompt: str, page: Page) -> str:
    chunks = client.chat.completions.create(
        model=MODEL,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        messages=[
            {"role": "system", "content": prompt},
            {"role": "user", "content": page.text},
        ],
    )
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
