"""Locust users, one file each: three ways to upload, and people who look what became of it.

`line.py` hands out the schedule, `notebook.py` writes down what was done, `session.py` holds what
the users of one process share. To add a user: a file here and its import in `locustfile.py`.
"""
