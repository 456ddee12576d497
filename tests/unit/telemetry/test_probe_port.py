"""What a probe is answered."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from marea.clock import FakeClock
from marea.errors import ConfigError
from marea.settings import load_settings
from marea.telemetry.liveness import SignsOfLife, check_sign
from marea.telemetry.probe_port import answer_probes


def test_a_probe_is_answered_what_the_liveness_file_says(tmp_path: Path) -> None:
    clock, file = FakeClock(1000.0), tmp_path / "alive"
    server = answer_probes("127.0.0.1", 0, lambda: check_sign(file, clock.now()))
    url = f"http://127.0.0.1:{server.server_address[1]}/"
    before = httpx.get(url)
    SignsOfLife(clock, file).touch("duty sweep")
    alive = httpx.get(url)
    clock.sleep(181.0)
    silent = httpx.get(url)
    server.shutdown()
    server.server_close()
    assert (before.status_code, alive.status_code, silent.status_code) == (503, 200, 503)
    assert "has not started" in before.text
    assert alive.text == "alive: duty sweep\n"
    assert "silent for 181 s, in the middle of: duty sweep" in silent.text


def test_a_port_that_is_taken_is_told() -> None:
    server = answer_probes("127.0.0.1", 0, lambda: (True, ""))
    with pytest.raises(ConfigError, match="for probes cannot be listened on"):
        answer_probes("127.0.0.1", server.server_address[1], lambda: (True, ""))
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("section", ["WORKER", "RECONCILER"])
def test_a_port_without_a_file_is_refused(section: str) -> None:
    with pytest.raises(ConfigError, match=f"MAREA_{section}__LIVENESS_FILE: must be set as well"):
        load_settings({f"MAREA_{section}__LIVENESS_PORT": "8081"})
