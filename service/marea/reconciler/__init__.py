"""The process that makes the promises true, whatever events, brokers and workers lose.

`loop.py` ticks through the duties of `lifecycle.duties`, `sweeper.py` drives the sweeps,
`outbox.py` sends what waits there; `audit.py` and `stale.py` serve the CLI. To add a duty:
a bounded, repeatable procedure in the lifecycle, and a line in `Reconciler.tick`.
"""
