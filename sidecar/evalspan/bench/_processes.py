"""CPU time and memory of a process and everything below it, from /proc."""

import os
from pathlib import Path
from typing import Final

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")


class Processes:
    """A process tree. CPU time of a process that has ended since the last look is kept."""

    def __init__(self, root: int) -> None:
        """Watch the process `root` and its descendants."""
        self._root = root
        self._cpu: dict[int, float] = {}
        self._names: dict[int, str] = {}
        self._since: dict[int, float] = {}
        self._at_peak: dict[str, int] = {}
        self.peak_bytes = 0

    def look(self) -> None:
        """Take CPU time and memory (proportional set size) as they are now."""
        found: dict[str, int] = {}
        for pid in self._tree():
            try:
                self._cpu[pid] = _cpu_seconds(pid)
                self._names.setdefault(pid, _name(pid))
                name = self._names[pid]
                found[name] = found.get(name, 0) + _proportional_bytes(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended between the listing and the look
        total = sum(found.values())
        if total > self.peak_bytes:
            self.peak_bytes, self._at_peak = total, found

    def mark(self) -> None:
        """Count CPU time from here on."""
        self.look()
        self._since = dict(self._cpu)

    def cpu_us(self, spans: int) -> dict[str, float]:
        """Return process → CPU µs per span since the mark."""
        self.look()
        found: dict[str, float] = {}
        for pid, seconds in self._cpu.items():
            name = self._names[pid]
            found[name] = found.get(name, 0.0) + seconds - self._since.get(pid, 0.0)
        return {name: round(seconds / spans * 1e6, 2) for name, seconds in found.items()}

    def peak_mb(self) -> dict[str, int]:
        """Return process → its part of the largest memory seen, MB."""
        return {name: round(size / 1e6) for name, size in self._at_peak.items()}

    def _tree(self) -> list[int]:
        found, waiting = [], [self._root]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            children = Path(f"/proc/{pid}/task/{pid}/children")
            if children.exists():
                waiting += [int(child) for child in children.read_text().split()]
        return found


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND


def _name(pid: int) -> str:
    parts = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return parts[parts.index("--only") + 1] if "--only" in parts else "parent"


def _proportional_bytes(pid: int) -> int:
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) * 1024
    return 0
