"""The receiver as a process of its own; its last argument is its `Job` as JSON."""

import sys

from evalspan import wal
from evalspan.processes import Job, Stop, receive, run


def main() -> int:
    """Run until told to stop; returns the exit code."""
    job = Job.model_validate_json(sys.argv[-1])

    def work(stop: Stop) -> int:
        writer = wal.Writer(job.log_folder, job.wal, above=job.last_segment)
        return receive(writer, job.receive, job.run_folder, stop)

    return run("receive", job.run_folder, work, parent=job.parent)


if __name__ == "__main__":
    sys.exit(main())
