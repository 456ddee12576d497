"""Load for a running Marea: `set -a; . DATA/marea.env; locust -f loadtest/locustfile.py`.

Each user is one file under `users/`; this only names them.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Locust imports this file by path, from wherever it is started.
sys.path.insert(0, str(Path(__file__).parents[1]))

from loadtest.users.uploader import Uploader

__all__ = ["Uploader"]
