"""What the guarantees cost, beside programs that give none. `python -m loadtest.bench --help`."""
