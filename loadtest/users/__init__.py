"""Locust users, one file each. To add one: a file here and its import in `locustfile.py`."""
