"""Read the JSON of an answer, with or without the fence that models like to put around it."""

import re
from typing import Any, Final

from pydantic_core import from_json

# The whole answer is one fenced block; the language after the fence is optional.
_FENCE: Final = re.compile(r"\s*```[\w-]*[ \t]*\r?\n(.*?)\r?\n?[ \t]*```\s*", re.DOTALL)


def read(text: str, *, allow_fence: bool) -> Any:  # noqa: ANN401 - any JSON value
    """Return the value; raises ValueError that says where the text stops being JSON."""
    fenced = _FENCE.fullmatch(text) if allow_fence and "```" in text else None
    return from_json(fenced[1] if fenced else text, allow_inf_nan=False)
