"""evalspan ledger."""

import typer

from evalspan.commands._options import (
    ConfigOption,
    DataOption,
    JsonOption,
    console,
    errors,
    no_folder,
    print_json,
    print_table,
    settings_of,
)
from evalspan.config import ConfigError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(epilog="Example: [bold]evalspan ledger --json[/bold]")(ledger)


def ledger(
    config: ConfigOption = None, data: DataOption = None, as_json: JsonOption = False
) -> None:
    """Show what became of everything received and everything to be evaluated.

    received = stored + duplicate + quarantined + pending, and per check
    expected = done + skipped + error + pending. Exit code 1 if that does not hold.
    Exit code 2 if there is no such data folder: what is mistyped balances as well.
    Requests that were rejected were never received in this sense; they are listed by reason.
    """
    settings = settings_of(config, data)
    if not settings.data.exists():
        raise ConfigError(no_folder(settings))
    from evalspan.pipeline import key_is_missed, read_ledger  # noqa: PLC0415 - start fast

    book = read_ledger(settings)
    if as_json:
        print_json(book.as_dict())
    else:
        print_table(
            "Received = stored + duplicate + quarantined + pending",
            ("", "received", "stored", "duplicate", "quarantined", "pending", "balanced"),
            [
                (x.subject, x.received, x.stored, x.duplicate, x.quarantined, x.pending, _yes(x))
                for x in book.lines
            ],
        )
        for line in book.lines:
            for reason, count in line.reasons.items():
                _tell(f"  quarantined {line.subject}: {count} × {reason}")
            for reason, count in line.unread.items():
                _tell(f"  stored {line.subject} whose content no span got: {count} × {reason}")
        for refusal in book.rejected:
            _tell(f"  rejected requests ({refusal.signal}): {refusal.requests} × {refusal.reason}")
        if book.rejected:
            _tell(
                "  What was rejected was never accepted and is in none of these numbers: the "
                "sender was told, and a Collector keeps it and comes again where that can help."
            )
        print_table(
            "Expected = done + skipped + error + pending",
            ("check", "expected", "done", "skipped", "error", "pending", "balanced"),
            [
                (x.check, x.expected, x.done, x.skipped, x.error, x.pending, _yes(x))
                for x in book.checks
            ],
        )
    if warning := key_is_missed(settings):
        errors.print(warning, markup=False, soft_wrap=True)
    raise typer.Exit(0 if book.balanced else 1)


def _tell(text: str) -> None:
    console.print(text, markup=False, soft_wrap=True)


def _yes(line: object) -> str:
    return "yes" if getattr(line, "balanced", False) else "NO"
