"""The one place that asks a language model.

Everything that needs a model (a judge, a mutator) is handed an `Ask`: it sends
one system text and one user text, forces one tool, and gets that tool's input
back as a dict. Retries with jitter and a limit are the SDK's.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import Field

from evalspan.config import Strict


class LLMError(RuntimeError):
    """The model could not be asked, or did not answer in the form it was told."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A structured answer: the input of the forced tool, and what it took.

    `cost_usd` is None where the price of the model is not known.
    """

    input: Mapping[str, Any]
    input_tokens: int
    output_tokens: int
    cost_usd: float | None = None


class Ask(Protocol):
    """Ask a model for one structured answer; raises LLMError."""

    async def __call__(
        self,
        *,
        system: str,
        user: str,
        tool: Mapping[str, Any],
        model: str,
        max_tokens: int,
    ) -> Answer:
        """Return the input of `tool` (name, description, input_schema) as the model filled it."""
        ...


class LLMSettings(Strict):
    """How to reach the Anthropic Messages API for judges and rewriting."""

    base_url: str | None = Field(
        default=None,
        description="Address of the API; null takes ANTHROPIC_BASE_URL, else Anthropic's own.",
    )
    api_key_env: str = Field(
        default="ANTHROPIC_API_KEY",
        description="Environment variable that holds the API key. The key never stands in a file.",
    )
    model: str = Field(
        default="claude-haiku-4-5",
        description="Model that a judge asks where its checklist names none.",
    )
    timeout_seconds: float = Field(default=60, gt=0, description="Limit of one call, seconds.")
    max_retries: int = Field(default=3, ge=0, description="Tries after a failed call.")


class Anthropic:
    """`Ask` over the Anthropic Messages API."""

    def __init__(self, settings: LLMSettings, *, price: "Price | None" = None) -> None:
        """Keep the settings; a client is made at the first call in each event loop."""
        self._settings = settings
        self._price = price
        self._client: Any = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def _connect(self) -> Any:  # noqa: ANN401 - the SDK is imported late, it takes two seconds
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            import anthropic  # noqa: PLC0415

            self._loop = loop

            key = os.environ.get(self._settings.api_key_env)
            if not key:
                msg = f"set the environment variable {self._settings.api_key_env} to an API key"
                raise LLMError(msg)
            self._client = anthropic.AsyncAnthropic(
                api_key=key,
                base_url=self._settings.base_url,
                timeout=self._settings.timeout_seconds,
                max_retries=self._settings.max_retries,
            )
        return self._client

    async def __call__(
        self,
        *,
        system: str,
        user: str,
        tool: Mapping[str, Any],
        model: str,
        max_tokens: int,
    ) -> Answer:
        """Ask once; see `Ask`."""
        client = self._connect()
        import anthropic  # noqa: PLC0415

        try:
            message = await client.messages.create(
                model=model,
                max_tokens=max_tokens,
                system=system,
                messages=[{"role": "user", "content": user}],
                tools=[dict(tool)],
                tool_choice={"type": "tool", "name": tool["name"]},
            )
        except anthropic.APIError as error:
            msg = f"{model}: {type(error).__name__}: {error}"
            raise LLMError(msg) from error
        return self._read(message, tool["name"], model)

    def _read(self, message: Any, name: str, model: str) -> Answer:  # noqa: ANN401
        block = next((b for b in message.content if b.type == "tool_use" and b.name == name), None)
        if block is None or not isinstance(block.input, dict):
            msg = f"{model} did not answer with the tool {name} (stopped: {message.stop_reason})"
            raise LLMError(msg)
        used_in, used_out = message.usage.input_tokens, message.usage.output_tokens
        cost = self._price(model, used_in, used_out) if self._price else None
        return Answer(block.input, used_in, used_out, cost)


class Price(Protocol):
    """Price of a call in US dollars; None where the model is not known."""

    def __call__(self, model: str, input_tokens: int, output_tokens: int) -> float | None:
        """Return the price."""
        ...
