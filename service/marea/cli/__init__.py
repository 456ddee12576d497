"""The `marea` command: one file per family of verbs, nothing heavy imported for `--help`.

Commands talk to store, ledger and broker directly, with the settings of the environment or
of the `marea.env` that `marea up` writes. To add a verb: a function in the file of its
family, registered in `main.py`; `--json` is not optional.
"""
