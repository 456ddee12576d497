"""The life of a job as pure steps: state and replies in, actions out.

No I/O, no clock, no logging. Each procedure is a generator that yields effects
(`effects.py`) and is sent their replies; `drive.py` runs one against real ports, the
simulation in `tests/simulation` runs many against fakes, interleaved and crashed at every
yield. So the code that is proved is the code that runs.
"""
