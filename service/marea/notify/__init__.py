"""The notification port (`notifier.py`) and its adapters: `webhook.py`, `memory.py`."""
