"""Two processes, a list of keys, and nothing else: no queue, no retry, no record.

Waits on a Unix socket for (task, keys), so that the processes live through a whole run and
their imports are not measured. `python -m loadtest.bench.contenders.bare_loop SOCKET`
"""

from __future__ import annotations

import sys
from multiprocessing import Pool
from multiprocessing.connection import Listener

from loadtest.bench.contenders.bodies import BODIES, client

PROCESSES = 2


def _one(order: tuple[str, str]) -> None:
    task, key = order
    BODIES[task](key)


def main() -> None:
    with Pool(PROCESSES, client) as pool, Listener(sys.argv[1], "AF_UNIX") as listener:
        connection = listener.accept()
        while True:
            try:
                task, keys = connection.recv()
            except EOFError:
                return
            # One at a time: a process that is done takes the next, whatever the other one does.
            for _ in pool.imap_unordered(_one, [(task, key) for key in keys]):
                pass
            connection.send(len(keys))


if __name__ == "__main__":
    main()
