"""The process that sizes the pools: read, decide, apply, record, each couple of seconds.

`signal.py` reads broker, ledger and fleets into what a decision is made of, `marea.scaling`
decides, `loop.py` applies one safe step and records why. It never acts on what it could not read.
"""
