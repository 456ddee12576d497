"""What a running process tells: `logs.py` to stderr, `metrics.py` to Prometheus, `liveness.py` to
its probe.

Pure packages import neither: they return reasons and counts, and the process that called
them logs and counts. To add a metric: a constant in `metrics.py`, named `marea_<process>_…`.
"""
