"""Load, demo and the stand-alone checker: clients of a running Marea, never part of it.

    scenarios/  what is sent, and what must hold then: data
    shapes/     arrivals per second over time, a class each
    schedule.py, files.py   every upload of a run, drawn before it
    users/      who sends them, under Locust (locustfile.py)
    observe/    how the platform is seen meanwhile, from outside
    conduct/    a whole run, step by step
    runs/       a run as data: its folder, figures, limits
    report/     the page and the pictures; two runs side by side
    check.py    the judge: what clients did against what the buckets list, nothing of Marea's
    slopes/     how costs grow with the queue; bench/ what guarantees cost; demo/ a run to look at

To add a kind of load: a file under `users/` or `shapes/`; a load: a folder under `scenarios/`.
"""
