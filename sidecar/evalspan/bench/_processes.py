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
        self.peak_bytes = 0

    def look(self) -> None:
        """Take CPU time and memory (proportional set size) as they are now."""
        total = 0
        for pid in self._tree():
            try:
                self._cpu[pid] = _cpu_seconds(pid)
                self._names.setdefault(pid, _name(pid))
                total += _proportional_bytes(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended between the listing and the look
        self.peak_bytes = max(self.peak_bytes, total)

    def cpu_seconds(self) -> float:
        """Return the CPU seconds of all processes so far."""
        self.look()
        return sum(self._cpu.values())

    def by_name(self, spans: int) -> dict[str, float]:
        """Return part → CPU µs per span since its start, imports included."""
        return {self._names[p]: round(s / spans * 1e6, 2) for p, s in self._cpu.items()}

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
