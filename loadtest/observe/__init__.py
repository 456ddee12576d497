"""How the platform is seen from outside while it is under load, each source a file.

`broker.py` asks the broker, `gateway.py` what the gateway tells everybody, `processes.py` this
machine, `pods.py` the API server; `sampler.py` asks all of them once a second; `endings.py` reads
the buckets afterwards. A source that is not there is told of in the report, and its figures are
missing: never zero.
"""
