"""A receiver with a real log in a process of its own: `receiver_program.py FOLDER`.

Prints its port, then works until SIGTERM.
"""

import asyncio
import signal
import sys
from datetime import timedelta
from pathlib import Path

from evalspan.receive import Counters, ReceiveSettings, publish, serve, write_snapshot
from evalspan.wal import WalSettings, Writer


def show_port(port: int) -> None:
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()


async def main(folder: Path) -> None:
    settings = WalSettings(keep_free_mib=0, segment_age=timedelta(milliseconds=100))
    writer = Writer(folder / "wal", settings)
    counters = Counters(gauges={"wal_bytes": lambda: float(writer.bytes_on_disk)})
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    receive = ReceiveSettings(listen="127.0.0.1:0")
    show = asyncio.ensure_future(publish(counters, folder / "receiver.json", stop, 0.05))
    await serve(receive, writer.append, None, counters, stop, listening=show_port)
    await show
    write_snapshot(counters, folder / "receiver.json")  # the last requests ended after `stop`
    writer.close()


asyncio.run(main(Path(sys.argv[1])))
