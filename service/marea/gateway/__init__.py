"""The HTTP process: hears of uploads, answers the API. It never opens a file's bytes.

`app.py` has the route table on top; each other file is one subject. Whatever an answer
promises is confirmed before it is sent: a 2xx to an event means that the broker has the jobs.
To add a route: an endpoint in the file of its subject, a row in `app.ROUTES`, a test.
"""
