"""The scalers that can be compared, one a file; `catalog.py` has their names and settings."""
