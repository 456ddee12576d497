"""How many replicas a pool needs, and how to get there without stopping a busy one.

Pure: no I/O, no clock, no logging, no chance. `backlog.py` has the types that go in,
`policy.py` the number that comes out and why, `budget.py` what pools share, `step.py` the one
safe step towards the number, `service_times.py` the averages that the number rests on.
"""
