"""The worker process: Celery's worker of one pool, and what makes its deaths harmless.

    app.py       composes and runs it          runner.py    one delivery, in a child
    parent.py    heartbeats, broker watch      tasks.py     the Celery task, in a child
    losses.py    charges lost children         limits.py    what a job may take, in a child
    request.py   sees children die             liveness.py  the probe's file

The parent touches the broker and the ledger, never the store; children are forked from it and
share nothing with it but the memory of libraries that it imported for them. To add something
that the parent does, give it a thread like those of parent.py: the event loop must not wait.
"""
