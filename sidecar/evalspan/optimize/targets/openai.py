"""Replay over any endpoint that speaks OpenAI Chat Completions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from evalspan.optimize._case import Case, Output, Target
from evalspan.optimize._settings import OptimizeError, TargetSettings


@asynccontextmanager
async def openai(settings: TargetSettings) -> AsyncIterator[Target]:
    """Answer cases with the model of the settings; one connection for all of them.

    Raises OptimizeError without the package openai, a model or an API key.
    """
    try:
        import openai as sdk  # noqa: PLC0415 - an extra
    except ImportError as error:
        msg = "the target openai needs the package openai: pip install 'evalspan[openai]'"
        raise OptimizeError(msg) from error
    key = settings.key_in("OPENAI_API_KEY")
    extra: dict[str, Any] = {"max_completion_tokens": settings.max_tokens}
    if settings.temperature is not None:
        extra["temperature"] = settings.temperature
    async with sdk.AsyncOpenAI(
        api_key=key,
        base_url=settings.base_url,
        timeout=settings.timeout_seconds,
        max_retries=settings.max_retries,
    ) as client:

        async def answer(prompt: str, *, case: Case) -> Output:
            messages: list[Any] = [{"role": "system", "content": prompt}]
            messages += [{"role": turn.role, "content": turn.text} for turn in case.messages]
            completion = await client.chat.completions.create(
                model=settings.model, messages=messages, **extra
            )
            choice, usage = completion.choices[0], completion.usage
            return Output(
                text=choice.message.content or "",
                input_tokens=usage.prompt_tokens if usage else None,
                output_tokens=usage.completion_tokens if usage else None,
                finish_reason=choice.finish_reason,
                model=completion.model,
            )

        yield answer
