"""What is done to the bytes: pipelines of steps, images under Pillow, tables under pandas.

Pure: bytes in, bytes out; no store, no broker, no clock, no logging. `pipeline.py` has the
types, `catalog.py` the names, `guards.py` what is refused before any decode.
"""
