"""Load for a running Marea, under Locust.

    set -a; . .marea/marea.env; set +a
    locust -f loadtest/locustfile.py --scenario spike              # its web page
    locust -f loadtest/locustfile.py --scenario spike --headless
    locust -f loadtest/locustfile.py --scenario spike --master --expect-workers 2   # and --worker

`python -m loadtest run spike` does this and all that belongs to it: it measures, observes the
platform, has the checker judge, and writes the report. Each user is one file under `users/`.
"""

from __future__ import annotations

import sys
from pathlib import Path

# Locust imports this file by path, from wherever it is started.
sys.path.insert(0, str(Path(__file__).parents[1]))

from loadtest.users.locust_hooks import ScheduleShape
from loadtest.users.presigned_uploader import PresignedUploader
from loadtest.users.s3_uploader import S3Uploader
from loadtest.users.submitter import Submitter
from loadtest.users.watcher import Watcher

__all__ = ["PresignedUploader", "S3Uploader", "ScheduleShape", "Submitter", "Watcher"]
