"""Make hostile text visible: control characters, direction marks, endless lines."""

import re
import unicodedata

_JOINERS = {"\u200c", "\u200d"}  # they shape letters and emoji, and turn nothing around
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_BLANK = set("\u115f\u1160\u2800\u3164\uffa0")  # letters and signs that look like nothing
_MARKS = {"Mn", "Me"}
_MOST_MARKS = 8  # scripts put a few on a letter; a pile of them covers the lines above and below
_LAST_BYTE = 0xFF


def cut(text: str, most: int) -> str:
    """Cut a text at `most` characters and say how many are gone."""
    if len(text) <= most:
        return text
    return f"{text[:most]} … [{len(text) - most:,} characters more]"


def visible(text: str, *, most_characters: int = 20_000, most_in_line: int = 2_000) -> str:
    r"""Return the text with nothing in it that acts: keeps line breaks and tabs only.

    Escape sequences, direction marks and invisible characters are written as
    `\x1b` or `\u202e`; lines and texts that are too long are cut with a marker.
    """
    lines = cut(text, most_characters).replace("\r\n", "\n").split("\n")
    return "\n".join(cut(_shown(line), most_in_line) for line in lines)


def one_line(text: str, most: int = 300) -> str:
    """Return the text as one line, for places where a second line could be taken for another."""
    flat = cut(text, most).replace("\r\n", "\n").replace("\n", " ⏎ ").replace("\t", " ")
    return _shown(flat)


def label(text: str, most_bytes: int) -> str:
    """Return the text as one line of at most so many bytes of UTF-8; `…` stands where it is cut."""
    line = one_line(text, most_bytes).encode()
    if len(line) <= most_bytes:
        return line.decode()
    return f"{line[: most_bytes - len(_CUT.encode())].decode(errors='ignore')}{_CUT}"


_CUT = "\N{HORIZONTAL ELLIPSIS}"


def wrapped(text: str, most_letters: int, most_lines: int) -> list[str]:
    """Return the text as lines that are at most so many letters wide; what is left is cut.

    A letter of an East Asian script is two wide. Words that are too long are broken.
    """
    lines: list[str] = [""]
    for word in re.findall(r"\s*\S{1,20}", one_line(text, most_letters * most_lines)):
        if _width(lines[-1] + word) > most_letters and lines[-1]:
            lines.append("")
        lines[-1] += word if lines[-1] else word.lstrip()
    if len(lines) > most_lines:
        lines = [*lines[: most_lines - 1], f"{lines[most_lines - 1]} …"]
    return lines


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _shown(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    shown = []
    marks = 0
    for character in line:
        kind = unicodedata.category(character)
        marks = marks + 1 if kind in _MARKS else 0
        hidden = kind in _HIDDEN or character in _BLANK or marks > _MOST_MARKS
        stays = not hidden or character == "\t" or character in _JOINERS
        shown.append(character if stays else _written(character))
    return "".join(shown)


def _written(character: str) -> str:
    code = ord(character)
    if code <= _LAST_BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}"
