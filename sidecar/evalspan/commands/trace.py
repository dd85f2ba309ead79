"""evalspan trace."""

import textwrap
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from evalspan.commands._options import (
    ConfigOption,
    DataOption,
    JsonOption,
    ViewOption,
    console,
    errors,
    print_json,
    settings_to_read,
)

_MOST_CHARACTERS: Final = 400
_MOST_IN_LINE: Final = 100
_DEEPEST: Final = 12
# What is wrapped at a time: a line may be a picture of some megabytes.
_WRAPPED_AT_ONCE: Final = 10_000
# Lines: rich takes time by the square of what it is given, and its time for each call.
_PRINTED_AT_ONCE: Final = 500
_WITH_TEXTS: Final = ("llm", "tool")
_STYLES: Final = {"FAIL": "red", "ERROR": "red", "pass": "green"}


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: [bold]evalspan trace 4bf92f35[/bold]")(trace)


def trace(
    trace_id: Annotated[
        str, typer.Argument(metavar="ID", help="Id of a trace, or at least 4 digits of its start.")
    ],
    config: ConfigOption = None,
    data: DataOption = None,
    view: ViewOption = "prod",
    full: Annotated[
        bool, typer.Option("--full", help="Show texts whole, and the system prompts.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Show one trace: its spans as a tree, inputs and outputs, verdicts with their reasons.

    Reports, alerts and `evalspan explain` name traces that fail. Exit code 1 if no span
    is stored yet, 2 if there is no such trace, or if several have an id that starts so.
    """
    settings = settings_to_read(config, data)
    if not settings.data.exists():
        raise typer.Exit(1)
    from evalspan.pipeline import NothingYetError, show_trace  # noqa: PLC0415 - start fast

    try:
        found = show_trace(settings, view, trace_id)
    except NothingYetError as nothing:
        errors.print(str(nothing), markup=False, soft_wrap=True)
        raise typer.Exit(1) from nothing
    if as_json:
        print_json(found)
    else:
        _print(found, full=full)


def _print(found: Mapping[str, Any], *, full: bool) -> None:
    spans = found["spans"]
    first = min(span["start_time"] for span in spans)
    parts = (f"{first:%Y-%m-%d %H:%M:%S} UTC", _number(len(spans), "span"))
    _say(", ".join((f"Trace {found['trace_id']}", *parts)), style="bold")
    for span in spans:
        _span(span, full=full)
    _say("")
    _say("Verdicts" if found["verdicts"] else _why_none(found), style="bold")
    names = {span["span_id"]: span["name"] or "" for span in spans}
    for verdict in found["verdicts"]:
        _verdict(verdict, names.get(verdict["span_id"]), full=full)
    if found["regressions"]:
        _say("")
        _say("An example of", style="bold")
    for change in found["regressions"]:
        _text(f"{change['id'][:8]} {change['state']}", change["reason"] or "", 2, full=True)


def _why_none(found: Mapping[str, Any]) -> str:
    if found["settled_time"] is None:
        return "No verdicts: the trace has not settled yet, more spans of it may come"
    return "No verdicts: no check is about one of these spans"


def _span(span: Mapping[str, Any], *, full: bool) -> None:
    indent = 2 + 2 * min(span["depth"], _DEEPEST)
    failed = span["status"] == "error" or span["error_type"] is not None
    branch = "└ " if span["depth"] else ""
    _say(branch + "  ".join(_facts(span)), indent, style="red" if failed else "")
    if span["duplicate"]:
        _say("another span reports the same call; checks look at one of them", indent + 4)
    if span["status_message"]:
        _text("status", span["status_message"], indent + 4, full=full)
    if span["role"] not in _WITH_TEXTS:
        return
    if full and span["system_prompt"]:
        _text("system", span["system_prompt"], indent + 4, full=full)
    for name in ("input", "output"):
        if span[f"{name}_text"] is not None:
            _text(name, span[f"{name}_text"], indent + 4, full=full)


def _facts(span: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is known of a span, for one line."""
    model = span["response_model"] or span["request_model"]
    version = span["prompt_version"] or span["prompt_hash"]
    name = span["name"] or ""
    yield f"[{span['role']}] {_line(name)}"
    if span["tool_name"] and span["tool_name"] not in name:
        yield f"tool {_line(span['tool_name'])}"
    if model and model not in name:
        yield _line(model)
    if span["prompt_name"] or version:
        yield f"prompt {_line(' '.join(filter(None, (span['prompt_name'], version))))}"
    if span["duration_ms"] is not None:
        yield f"{span['duration_ms']:,.0f} ms"
    tokens = ((span["input_tokens"], "in"), (span["output_tokens"], "out"))
    if told := [f"{count:,} {way}" for count, way in tokens if count is not None]:
        yield f"{', '.join(told)} tokens"
    if span["cost_usd"] is not None:
        yield f"{span['cost_usd']:.6f} USD"
    if span["finish_reasons"]:
        yield f"stopped: {_line(', '.join(filter(None, span['finish_reasons'])))}"
    if span["status"] == "error" or span["error_type"]:
        yield f"ERROR {_line(span['error_type'] or '')}".rstrip()
    yield f"({span['span_id']})"


def _verdict(verdict: Mapping[str, Any], span: str | None, *, full: bool) -> None:
    check = f"{verdict['check']}/{verdict['item']}" if verdict["item"] else verdict["check"]
    said, reason = _said(verdict)
    about = f"of {_line(span)} " if span else "of "
    value = "" if verdict["value"] is None else f"  value {verdict['value']:.6g}"
    head = f"{said:<8}{_line(check)}  {about}({verdict['span_id']}){value}"
    _say(head, 2, style=_STYLES.get(said, ""))
    if reason:
        _text("reason", reason, 10, full=full)
    if verdict["evidence"]:
        _text("evidence", verdict["evidence"], 10, full=full)


def _said(verdict: Mapping[str, Any]) -> tuple[str, str | None]:
    """Return the verdict in a word, and why."""
    if verdict["error"] is not None:
        return "ERROR", verdict["error"]
    if verdict["skipped"] is not None:
        return "skipped", verdict["skipped"]
    words = {"pass": "pass", "fail": "FAIL"}
    return words.get(verdict["verdict"], "none"), verdict["reason"]


def _text(label: str, text: str, indent: int, *, full: bool) -> None:
    """Print a text under its label; every line is indented, so that none passes for one of ours."""
    shown = text if full else text[:_MOST_CHARACTERS]
    if len(text) > len(shown):
        shown += f" … [{len(text) - len(shown):,} characters more: --full]"
    beside = indent + len(label) + 2
    first, *others = _wrapped(shown, beside) or [""]
    _say(f"{label}: {first}", indent, style="dim")
    for at in range(0, len(others), _PRINTED_AT_ONCE):
        lines = f"\n{' ' * beside}".join(others[at : at + _PRINTED_AT_ONCE])
        _say(lines, beside, style="dim")


def _wrapped(text: str, indent: int) -> list[str]:
    """Return the lines of a text, none wider than the terminal."""
    width = max(console.width - indent, 20)
    wrapped = textwrap.TextWrapper(width, replace_whitespace=False, break_on_hyphens=False)
    parts = (
        line[at : at + _WRAPPED_AT_ONCE]
        for line in text.splitlines()
        for at in range(0, len(line) or 1, _WRAPPED_AT_ONCE)
    )
    return [each for part in parts for each in wrapped.wrap(part) or [""]]


def _line(text: str) -> str:
    """Return a text as a short line."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _MOST_IN_LINE else f"{flat[:_MOST_IN_LINE]}…"


def _say(text: str, indent: int = 0, style: str = "") -> None:
    # No emoji: `:x:` in an answer stays what the model wrote.
    line = f"{' ' * indent}{text}"
    console.print(line, markup=False, emoji=False, soft_wrap=True, style=style or None)


def _number(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
