"""Celery applications that are not ours: what their broker and their workers tell of them.

`app.py` is the port, `celery.py` reads a real one by Celery's own remote control and events
(`listener.py`, of which `heard.py` is what was heard so far), `memory.py` is the double. Nothing of
ours runs in the application's processes.
"""
