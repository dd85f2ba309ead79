r"""The demo's app: real SDKs and real instrumentors, in a process of its own.

python -m evalspan.demo.app --endpoint http://127.0.0.1:4317 \
    --model-server http://127.0.0.1:8111 --prompt-version v1

prints its progress and then its summary as JSON lines. Needs the extra `demo`.
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict
from typing import Protocol

from anthropic import Anthropic
from openai import OpenAI
from openinference.instrumentation.openai import OpenAIInstrumentor as OpenInferenceInstrumentor
from opentelemetry.instrumentation.genai.anthropic import AnthropicInstrumentor
from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor
from opentelemetry.sdk.trace import TracerProvider

from evalspan.demo import CALLS, PROMPT_VERSIONS, Progress, RunSummary, prompt_text
from evalspan.demo._extraction import extract
from evalspan.demo._pages import CUSTOMERS, page, review, support_question
from evalspan.demo._reviews import summarise
from evalspan.demo._support import answer
from evalspan.demo._telemetry import start_telemetry

THREADS = 8
CALLS_PER_SUPPORT_RUN = 16
CALLS_PER_REVIEW = 20
STREAMED = 4
"""Every fourth page is answered as a stream, so that there is a time to the first token."""

KEY = "stand-in"

Job = Callable[[], bool]


class Instrumentor(Protocol):
    """What every OpenTelemetry instrumentor can do."""

    def instrument(self, *, tracer_provider: TracerProvider) -> None:
        """Wrap the SDK."""

    def uninstrument(self) -> None:
        """Take the wrapping off."""


def run_app(
    endpoint: str, model_server_url: str, version: str, calls: int, progress: Progress
) -> RunSummary:
    """Send the traffic of one prompt version; returns when every span has been exported.

    `calls` is the number of extraction calls; there are besides one support run for every 16 of
    them and one review for every 20. It sets the process's tracer provider, so call it once.
    """
    started = time.perf_counter()
    provider, exporter = start_telemetry(endpoint, version)
    extractions = _extractions(model_server_url, version, calls)
    support_runs = _support_runs(model_server_url, version, calls)
    reviews = _reviews(model_server_url, calls)
    total = len(extractions) + len(support_runs) + len(reviews)
    done = Counter[bool]()

    def work(instrumentors: Iterable[Instrumentor], jobs: Iterable[Job]) -> None:
        with _instrumented(instrumentors, provider), ThreadPoolExecutor(THREADS) as threads:
            for finished in as_completed([threads.submit(job) for job in jobs]):
                done[finished.result()] += 1
                progress(done.total(), total)

    work([OpenAIInstrumentor(), AnthropicInstrumentor()], [*extractions, *support_runs])
    work([OpenInferenceInstrumentor()], reviews)
    provider.shutdown()
    return RunSummary(
        version=version,
        calls=len(extractions),
        support_runs=len(support_runs),
        reviews=len(reviews),
        unparsable=done[False],
        spans_sent=exporter.sent,
        spans_failed=exporter.failed,
        wall_seconds=round(time.perf_counter() - started, 2),
    )


@contextmanager
def _instrumented(
    instrumentors: Iterable[Instrumentor], provider: TracerProvider
) -> Iterator[None]:
    listed = list(instrumentors)
    for instrumentor in listed:
        instrumentor.instrument(tracer_provider=provider)
    yield
    for instrumentor in listed:
        instrumentor.uninstrument()


def _extractions(url: str, version: str, calls: int) -> list[Job]:
    client = OpenAI(base_url=f"{url}/v1", api_key=KEY)
    prompt = prompt_text("extract", version)
    first_page = PROMPT_VERSIONS.index(version) * (calls // len(CUSTOMERS))

    def job(number: int) -> Job:
        one = page(CUSTOMERS[number % len(CUSTOMERS)], first_page + number // len(CUSTOMERS))
        streamed = number // len(CUSTOMERS) % STREAMED == 0
        return lambda: extract(client, prompt, version, one, stream=streamed)

    return [job(number) for number in range(calls)]


def _support_runs(url: str, version: str, calls: int) -> list[Job]:
    client = Anthropic(base_url=url, api_key=KEY)
    prompt = prompt_text("support", "v1")
    runs = calls // CALLS_PER_SUPPORT_RUN
    first = PROMPT_VERSIONS.index(version) * runs

    def job(index: int) -> Job:
        customer = CUSTOMERS[index % len(CUSTOMERS)]
        question = support_question(customer, index)
        return lambda: answer(client, prompt, customer, question, index) != ""

    return [job(first + number) for number in range(runs)]


def _reviews(url: str, calls: int) -> list[Job]:
    client = OpenAI(base_url=f"{url}/v1", api_key=KEY)
    prompt = prompt_text("review", "v1")

    def job(index: int) -> Job:
        customer = CUSTOMERS[index % len(CUSTOMERS)]
        text = review(customer, index)
        return lambda: summarise(client, prompt, customer, text) != ""

    return [job(index) for index in range(calls // CALLS_PER_REVIEW)]


def main() -> None:
    """Run the app from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--endpoint", required=True, help="OTLP gRPC receiver, http://HOST:PORT")
    parser.add_argument("--model-server", required=True, help="stand-in server, http://HOST:PORT")
    parser.add_argument("--prompt-version", choices=PROMPT_VERSIONS, default="v1")
    parser.add_argument("--calls", type=int, default=CALLS, help="extraction calls")
    given = parser.parse_args()

    def show(done: int, total: int) -> None:
        sys.stdout.write(json.dumps({"done": done, "total": total}) + "\n")
        sys.stdout.flush()

    summary = run_app(given.endpoint, given.model_server, given.prompt_version, given.calls, show)
    sys.stdout.write(json.dumps({"summary": asdict(summary)}) + "\n")


if __name__ == "__main__":
    main()
