"""Times as they are given to commands: how long before now, or from now on, or a moment."""

from datetime import UTC, datetime, timedelta

from evalspan.config import ConfigError, parse_duration


def before(now: datetime, option: str, text: str) -> datetime:
    """Read `30d` as so long before now, or a moment; raises ConfigError that names the option."""
    return _moment(option, text, now, -1)


def after(now: datetime, option: str, text: str) -> datetime:
    """Read `7d` as so long from now, or a moment, which has to come; raises ConfigError."""
    found = _moment(option, text, now, 1)
    if found <= now:
        msg = f"{option}: {found:%Y-%m-%d %H:%M} UTC is over already"
        raise ConfigError(msg)
    return found


def duration(option: str, text: str) -> timedelta:
    """Read `5m`; raises ConfigError that names the option."""
    try:
        return parse_duration(text)
    except (ValueError, OverflowError) as error:
        msg = f"{option}: expected a duration such as 1m, not {text!r}"
        raise ConfigError(msg) from error


def _moment(option: str, text: str, now: datetime, sign: int) -> datetime:
    try:
        return now + sign * parse_duration(text)
    except (ValueError, OverflowError):  # no duration, or one longer than there are dates
        pass
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        wanted = "a duration such as 30d or a time such as 2026-05-01T12:00Z"
        msg = f"{option}: expected {wanted}, not {text!r}"
        raise ConfigError(msg) from error
