"""Load, demo and the stand-alone checker: clients of a running Marea, never part of it.

`check.py` judges a run from what clients did and what the buckets list; `demo/` is one run to
look at; `locustfile.py` drives peaks. To add a kind of load: one file under `users/`.
"""
