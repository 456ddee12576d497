"""What a scaler is to the simulation: it starts, it hears what it could hear, it sets scales."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marea.simulator.cluster import WorkerProfile

if TYPE_CHECKING:
    from marea.simulator.pod import Pod, Task
    from marea.simulator.pool import Pool
    from marea.simulator.world import World


class Scaler:
    """Does nothing; scalers override what they use. One instance serves one run."""

    profile = WorkerProfile()

    def begin(self, world: World) -> None:
        """The run starts: arrange the first look."""

    def arrived(self, pool: Pool, task: Task) -> None:
        """A job was queued. Only what a real one sees: no `work_s`."""

    def pod_ready(self, pool: Pool, pod: Pod) -> None:
        """A worker is up."""

    def finished(self, pool: Pool, task: Task, took_s: float) -> None:
        """A job ended; how long it took was measured by the worker."""
