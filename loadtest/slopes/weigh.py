"""What a Redis holds, by its own account, without what it lends to whoever is connected."""

from __future__ import annotations

from typing import Any


def stored_bytes(client: Any) -> int:
    """All but the clients' buffers and that of the append-only file, of a redis-py client's
    server."""
    # The sum over the clients that `INFO` tells is up to a second old, which at a hundred jobs
    # would be hundreds of bytes a job (measured); that of `CLIENT LIST` is of now.
    buffers = sum(int(each["tot-mem"]) for each in client.client_list())
    told = client.info("memory")
    return int(told["used_memory"]) - int(told["mem_aof_buffer"]) - buffers
