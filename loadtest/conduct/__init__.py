"""One load run from its beginning to its verdict: `conduct.py`, and the steps it takes, a file
each: `preflight` (can it be run at all?), `measure` (the store's and the pool's own rates),
`generator` (Locust as a child), `settle` (until every upload has its record), `gather`.
"""
