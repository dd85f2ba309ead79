"""Replay over the Anthropic Messages API."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from evalspan.optimize._case import Case, Output, Target
from evalspan.optimize._settings import TargetSettings


@asynccontextmanager
async def anthropic(settings: TargetSettings) -> AsyncIterator[Target]:
    """Answer cases with the model of the settings; one connection for all of them.

    Raises OptimizeError without a model or an API key.
    """
    import anthropic as sdk  # noqa: PLC0415 - takes two seconds

    other = f"`optimize: {{target: {{use: openai, model: {settings.model}}}}}`"
    otherwise = f". Or say what else replays cases: {other} and export OPENAI_API_KEY"
    own = settings.model.startswith("claude")
    key = settings.key_in("ANTHROPIC_API_KEY", "" if own else otherwise)
    extra: dict[str, Any] = {}
    if settings.temperature is not None:
        # the SDK has no parameter for it any more; models that refuse it say so
        extra["extra_body"] = {"temperature": settings.temperature}
    async with sdk.AsyncAnthropic(
        api_key=key,
        base_url=settings.base_url,
        timeout=settings.timeout_seconds,
        max_retries=settings.max_retries,
    ) as client:

        async def answer(prompt: str, *, case: Case) -> Output:
            turns: list[Any] = [{"role": t.role, "content": t.text} for t in case.messages]
            message = await client.messages.create(
                model=settings.model,
                max_tokens=settings.max_tokens,
                system=prompt,
                messages=turns,
                **extra,
            )
            return Output(
                text="".join(block.text for block in message.content if block.type == "text"),
                input_tokens=message.usage.input_tokens,
                output_tokens=message.usage.output_tokens,
                finish_reason=message.stop_reason,
                model=message.model,
            )

        yield answer
