"""The process that sizes the pools: read, decide, apply, record, each couple of seconds.

`signal.py` makes what `sources.py` and `app_source.py` tell into what a decision is made of,
`marea.scaling` decides, `loop.py` applies one safe step and records why.
It never acts on what it could not read.
"""
