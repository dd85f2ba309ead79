"""The written scenario: which rules there are, what breaks without them, and how often.

Every probability is stated here, in one file that a person can read; `default_scenario.yaml`
beside this file is the one that the demo uses and explains each part by example.
"""

from pathlib import Path
from re import Pattern
from string import Formatter
from typing import Any, Literal

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

DEFAULT_SCENARIO = Path(__file__).with_name("default_scenario.yaml")

Share = float
"""A probability, 0 to 1."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Break(_Part):
    """What a broken rule does to the answer.

    `raw_value` writes `field` as the page has it instead of the parsed value; `drop_field` and
    `replace_value` do what they say; `prose` puts `text` around the answer (`{answer}` is its
    place); `refusal` answers `text` alone; `cut` ends the answer in the middle; `drop_text` takes
    `text` out of the answer; `repeat_tool` calls the tool named by `field` three times more;
    `wrong_argument` gives the tool named by `field` the argument value `text`.
    """

    kind: Literal[
        "raw_value",
        "drop_field",
        "replace_value",
        "prose",
        "refusal",
        "cut",
        "drop_text",
        "repeat_tool",
        "wrong_argument",
    ]
    field: str = ""
    text: str = ""


class Rule(_Part):
    """One instruction and what depends on it.

    The rule stands where `stands` (a regular expression) is found in the system prompt; without
    `stands` it never does. It matters for inputs of `task` (any without one) in which `applies_to`
    is found. An answer is broken when the draw of (seed, rule, input) lies below
    `broken_when_missing`, or `broken_when_standing` where the rule stands; since it is one draw,
    adding a rule mends some inputs and changes no other. A rule that does harm is one with
    `broken_when_standing` above `broken_when_missing`.

    The rewriter learns the rule from a failing case whose reason matches `learned_from`, and
    then adds `sentence` to the prompt.
    """

    id: str
    stands: Pattern[str] | None = None
    task: str | None = None
    applies_to: Pattern[str] | None = None
    breaks: Break
    broken_when_missing: Share = Field(ge=0, le=1)
    broken_when_standing: Share = Field(default=0.0, ge=0, le=1)
    learned_from: Pattern[str] | None = None
    sentence: str = ""

    def stands_in(self, prompt: str) -> bool:
        """Whether the prompt holds the rule."""
        return self.stands is not None and self.stands.search(prompt) is not None

    @property
    def harmful(self) -> bool:
        """Whether the rule makes answers worse."""
        return self.broken_when_standing > self.broken_when_missing


class AnswerField(_Part):
    """One field of a JSON answer: a dotted path and where its value stands in the user's text.

    The first group of `pattern` is the value. `kind` number reads 1,299.00 and 1.299,00 alike,
    date reads `3 March 2026`, list splits at `;`.
    """

    path: str
    pattern: Pattern[str]
    kind: Literal["text", "number", "date", "list"] = "text"


class Step(_Part):
    """One tool call of an agent: made when `when` is found in the user's text.

    `arguments` are regular expressions over the conversation; the first group (or the whole
    match) of each is the argument's value.
    """

    tool: str
    when: Pattern[str]
    arguments: dict[str, Pattern[str]] = {}


class Task(_Part):
    """One thing that the stand-in can do, taken where `when` is found in the user's text.

    With `fields` the answer is a JSON object (`constants` are in it as they stand); with `steps`
    the tools are called in order before the answer; `text` is a template over `values`, each a
    regular expression over the conversation.
    """

    id: str
    when: Pattern[str]
    constants: dict[str, Any] = {}
    fields: tuple[AnswerField, ...] = ()
    steps: tuple[Step, ...] = ()
    values: dict[str, Pattern[str]] = {}
    text: str = "This is the stand-in model server: no task of its scenario fits the question."

    @field_validator("text")
    @classmethod
    def _names_known_values(cls, text: str, info: ValidationInfo) -> str:
        known = info.data.get("values", {})
        for _, name, _, _ in Formatter().parse(text):
            if name is not None and name not in known:
                message = f"{{{name}}} is not one of the task's values: {sorted(known)}"
                raise ValueError(message)
        return text


class Question(_Part):
    """How the judge decides a question in which `asks` is found.

    The answer is yes where `yes_when` is found in the span, else no.
    """

    asks: Pattern[str]
    yes_when: Pattern[str]


class Judge(_Part):
    """The judge: its rules and its stated shares of wrong answers and of invented quotes."""

    questions: tuple[Question, ...] = ()
    misjudged: Share = Field(default=0.0, ge=0, le=1)
    invented_quotes: Share = Field(default=0.0, ge=0, le=1)


class Rewriter(_Part):
    """The rewriter: how many prompts it proposes, and the stated shares that do not help."""

    proposals: int = Field(default=3, ge=1)
    useless: Share = Field(default=0.0, ge=0, le=1)
    harmful: Share = Field(default=0.0, ge=0, le=1)


class Fault(_Part):
    """An HTTP error instead of an answer, for requests whose user text holds `when`.

    `rate` is a share of the inputs. Attempts before `attempts` fail; the SDKs number theirs in
    the header `x-stainless-retry-count`, so that a retry succeeds as it would in life.
    """

    status: int = Field(ge=400, le=599)
    when: Pattern[str] | None = None
    rate: Share = Field(default=1.0, ge=0, le=1)
    attempts: int = Field(default=1, ge=1)
    retry_after_seconds: float | None = None


class Latency(_Part):
    """How long an answer takes; drawn between half and one and a half of what is stated."""

    first_token_seconds: float = Field(default=0.0, ge=0)
    total_seconds: float = Field(default=0.0, ge=0)


class Scenario(_Part):
    """Everything that decides an answer besides the request itself."""

    seed: int = 0
    rules: tuple[Rule, ...] = ()
    tasks: tuple[Task, ...] = ()
    judge: Judge = Judge()
    rewriter: Rewriter = Rewriter()
    faults: tuple[Fault, ...] = ()
    latency: Latency = Latency()


def load_scenario(path: Path | None = None) -> Scenario:
    """Read a scenario from YAML; the default one without a path.

    Raises ValueError that names the file and the key where it is not a scenario.
    """
    file = path or DEFAULT_SCENARIO
    try:
        return Scenario.model_validate(yaml.safe_load(file.read_text("utf-8")))
    except yaml.YAMLError as error:
        message = f"{file} is not YAML: {error}"
        raise ValueError(message) from error
    except ValidationError as error:
        found = ("  ".join([_place(part["loc"]), part["msg"]]) for part in error.errors())
        message = "\n".join([f"{file} is not a scenario:", *found])
        raise ValueError(message) from error


def _place(location: tuple[str | int, ...]) -> str:
    return ".".join(str(part) for part in location)
