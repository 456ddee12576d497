"""The ledger port (`ledger.py`) and its adapters: `redis.py`, `memory.py`.

An index of jobs in flight and lately ended, bounded by retention; never the only copy of
what the buckets cannot rebuild. Only `redis.py` imports redis.
"""
