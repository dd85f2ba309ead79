"""Synthetic calls: two versions of a prompt, of which the second breaks one customer."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from evalspan import pipeline, testing
from evalspan.pipeline._log import open_log
from evalspan.pipeline._read import ReadSide

CONFIG = """\
data: {data}
dimensions:
  customer: {{attribute: app.customer}}
checks:
  json_valid: {{match: "prompt_name = 'extract'"}}
views:
  globex:
    filter: "customer = 'globex'"
  latest:
    filter: "prompt_version = 'v2'"
detect: {{every: 1h, minimum_history: 0s, minimum_sample: 20, minimum_effect: 0.05}}
optimize:
  rounds: 1
  cases: 160
  mutators: [add_missing_rule]
  target: {{use: openai, model: gpt-4o-mini, temperature: 0, base_url: "{url}/v1"}}
"""
PROMPTS = {"v1": "Read the page. Answer with JSON only.", "v2": "Read the page into an object."}
CUSTOMERS = ("acme", "globex", "initech", "umbrella")
CALLS = 320
HOUR = timedelta(hours=1)


class World:
    """Settings, tables, and a way to take calls in."""

    def __init__(self, folder: Path, url: str = "http://127.0.0.1:9", more: str = "") -> None:
        file = folder / "evalspan.yaml"
        file.write_text(CONFIG.format(data=folder / "data", url=url) + more, encoding="utf-8")
        self.settings = pipeline.load_settings(file)
        self.tables = pipeline.store_of(self.settings)
        self.begin = datetime.now(UTC) - timedelta(days=4)

    def take_in(self, *spans: Any) -> None:  # noqa: ANN401 - OTLP spans
        """Store, settle and score."""
        writer = open_log(self.settings)
        writer.append("traces", testing.request(spans).SerializeToString()).result()
        writer.close()
        evaluator = pipeline.evaluator_of(self.settings)
        try:
            write = pipeline.write_side_of(self.settings, self.tables, evaluator)
            segments = write.waiting()
            for segment in segments:
                write.step(segment, flush=segment is segments[-1])
        finally:
            evaluator.close()

    def side(self, view: str = "prod") -> ReadSide:
        return pipeline.read_side_of(self.settings, view)

    def call(self, number: int, version: str, *, good: bool, hours: float) -> Any:  # noqa: ANN401
        page = f"https://shop.example/product/{number}\n# Thing {number}\nPrice: {number}.50 EUR"
        answer = json.dumps({"name": f"Thing {number}"})
        return testing.span(
            system=PROMPTS[version],
            user=page,
            output=answer if good else f"Here it is: {answer}",
            trace=number,
            start_unix_nano=int((self.begin + HOUR * hours).timestamp() * 1e9),
            attributes={
                "app.customer": CUSTOMERS[number % 4],
                "gen_ai.prompt.name": "extract",
                "gen_ai.prompt.version": version,
            },
        )

    def fall(self) -> None:
        """v1 answers JSON; v2 breaks every other answer to globex, and a few of the others."""
        first = [
            self.call(number, "v1", good=number % 40 != 0, hours=number / 16)
            for number in range(1, CALLS + 1)
        ]
        second = [
            self.call(number, "v2", good=_good_after(number), hours=number / 16)
            for number in range(CALLS + 1, 2 * CALLS + 1)
        ]
        self.take_in(*first, *second)

    def mend(self) -> None:
        """From then on everything is right again."""
        first = 2 * CALLS + 1
        self.take_in(
            *(
                self.call(n, "v1", good=n % 40 != 0, hours=2 * CALLS / 16 + (n - first) / 16)
                for n in range(first, first + 2 * CALLS)
            )
        )


def _good_after(number: int) -> bool:
    globex = number % 4 == 1
    return number % 8 == 5 if globex else number % 40 != 0
