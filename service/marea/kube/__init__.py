"""The port through which replicas are listed and sized, and its adapters.

`fleets.py` is the port, `kubernetes.py` Deployments and pods by the official client, `memory.py`
the double. `marea up` has a third one, of processes (`up/fleets.py`).
"""
