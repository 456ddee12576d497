"""A pool at work: its queue, its Deployment, its pods, from arrival to the last exit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from marea.simulator.pod import Phase, Pod, Task
from marea.simulator.trace import Job, PoolSpec
from marea.simulator.victims import victims

if TYPE_CHECKING:
    from marea.simulator.world import World


class Pool:
    """Messages go to whoever has asked longest; late acknowledgement; FIFO."""

    def __init__(self, world: World, spec: PoolSpec) -> None:
        self.spec = spec
        self.tasks: list[Task] = []
        self.pods: list[Pod] = []
        """What the Deployment counts: without the terminating ones."""
        self.leaving: dict[Pod, None] = {}
        self.wanted = 0
        self.worker_seconds = 0.0
        self.interrupted = 0
        self.lost_work_s = 0.0
        self.actions = 0
        self.peak = 0
        self.peak_busy = 0
        """The most replicas that had something to do at the same time."""
        self._world = world
        self._queue: deque[Task] = deque()
        self._hungry: dict[Pod, None] = {}
        self._nodes: dict[Pod, int] = {}
        self._busy_pods = 0

    # ------------------------------------------------------------------ what can be read

    @property
    def ready_messages(self) -> int:
        """Queued and given to nobody: what LLEN counts."""
        return len(self._queue)

    @property
    def unacked(self) -> int:
        return sum(pod.unacked for pod in self.pods) + sum(pod.unacked for pod in self.leaving)

    @property
    def running(self) -> int:
        """Slots at work, those of pods that leave included."""
        return sum(len(pod.running) for pod in (*self.pods, *self.leaving))

    @property
    def ready_pods(self) -> int:
        return sum(pod.phase is Phase.READY for pod in self.pods)

    @property
    def queue(self) -> deque[Task]:
        """The messages themselves; the ledger knows their kinds (not how long they will take)."""
        return self._queue

    @property
    def is_empty(self) -> bool:
        return not self.pods and not self.leaving

    # ------------------------------------------------------------------ messages

    def arrival(self, job: Job) -> Callable[[], None]:
        def arrive() -> None:
            task = Task(job)
            self.tasks.append(task)
            self._queue.append(task)
            self._world.scaler.arrived(self, task)
            self.dispatch()

        return arrive

    def dispatch(self) -> None:
        """Hand out messages while there are both messages and hungry workers."""
        while self._queue and self._hungry:
            pod = next(iter(self._hungry))
            del self._hungry[pod]
            task = self._queue.popleft()
            if len(pod.running) < pod.slots:
                self._start(pod, task)
            else:
                pod.reserved.append(task)
            if pod.is_hungry:
                self._hungry[pod] = None

    def _start(self, pod: Pod, task: Task) -> None:
        now = self._world.now
        if not pod.running:
            self._busy_pods += 1
            self.peak_busy = max(self.peak_busy, self._busy_pods)
        pod.running[task] = now
        task.started_s = now
        if task.first_started_s is None:
            task.first_started_s = now
        self._world.at(now + task.job.work_s, lambda: self._finish(pod, task, now))

    def _finish(self, pod: Pod, task: Task, started_s: float) -> None:
        if pod.running.get(task) != started_s:
            return  # killed meanwhile
        self._take_off(pod, task)
        task.finished_s = self._world.now
        self._world.job_finished()
        self._world.scaler.finished(self, task, self._world.now - started_s)
        if pod.phase is Phase.TERMINATING:
            if not pod.running:
                self._world.at(self._world.now + self._world.cluster.exit_s, self._exit(pod))
            return
        if pod.reserved:
            self._start(pod, pod.reserved.popleft())
        self._seat(pod)

    def _take_off(self, pod: Pod, task: Task) -> None:
        del pod.running[task]
        if not pod.running:
            self._busy_pods -= 1

    def _seat(self, pod: Pod) -> None:
        if pod.is_hungry:
            self._hungry.setdefault(pod, None)
            self.dispatch()
        else:
            self._hungry.pop(pod, None)

    def consume(self, pod: Pod, wanted: bool) -> None:
        """`cancel_consumer` and `add_consumer`: what it holds it keeps."""
        if pod.phase is Phase.READY:
            pod.consuming = wanted
            self._seat(pod)

    # ------------------------------------------------------------------ the Deployment

    def scale(self, replicas: int) -> None:
        """Set the wanted replicas; pods are made, or removed in Kubernetes' order, at once."""
        if replicas != self.wanted:
            self.actions += 1
            self.wanted = replicas
            self.peak = max(self.peak, replicas)
        for _ in range(replicas - len(self.pods)):
            self._create()
        for pod in victims(self.pods, len(self.pods) - replicas, self._world.now):
            self._terminate(pod)

    def retire(self, pods: list[Pod]) -> None:
        """Remove just these: what Kubernetes does not offer, and others than it can."""
        if pods:
            self.actions += 1
            self.wanted -= len(pods)
        for pod in pods:
            self._terminate(pod)

    def _create(self) -> None:
        world = self._world
        number, tie = world.next_pod()
        profile = world.scaler.profile
        slots = self.spec.slots
        pod = Pod(number, world.now, slots, slots * profile.prefetch_per_slot, tie)
        self.pods.append(pod)
        self._nodes[pod], on_node_s = world.nodes.place(world.now)
        start_s = world.next_start_s()

        def place() -> None:
            if pod.phase is Phase.PENDING:
                pod.phase = Phase.STARTING
                world.at(world.now + start_s, become_ready)

        def become_ready() -> None:
            if pod.phase is Phase.STARTING:
                pod.phase, pod.ready_s, pod.consuming = Phase.READY, world.now, True
                world.scaler.pod_ready(self, pod)
                self._seat(pod)

        if on_node_s > world.now:
            world.at(on_node_s, place)
        else:
            place()

    def _terminate(self, pod: Pod) -> None:
        """SIGTERM. Prefetched messages go back at once; running ones have the grace."""
        self.pods.remove(pod)
        was_up = pod.phase is Phase.READY
        pod.phase, pod.consuming = Phase.TERMINATING, False
        self._hungry.pop(pod, None)
        self.leaving[pod] = None
        now = self._world.now
        if not was_up:
            self._exit(pod)()
            return
        while pod.reserved:
            self._queue.appendleft(pod.reserved.pop())
        if not pod.running:
            self._world.at(now + self._world.cluster.exit_s, self._exit(pod))
        else:
            self._world.at(now + self._world.scaler.profile.grace_s, lambda: self._kill(pod))
        self.dispatch()

    def _kill(self, pod: Pod) -> None:
        """SIGKILL: what ran is lost and comes again."""
        if pod.phase is Phase.GONE:
            return
        for task, started_s in list(pod.running.items()):
            self.interrupted += 1
            self.lost_work_s += self._world.now - started_s
            task.started_s = None
            self._take_off(pod, task)
            self._world.at(self._world.now + self._world.cluster.redelivery_s, self._again(task))
        self._exit(pod)()

    def _again(self, task: Task) -> Callable[[], None]:
        def redeliver() -> None:
            self._queue.appendleft(task)
            self.dispatch()

        return redeliver

    def _exit(self, pod: Pod) -> Callable[[], None]:
        def leave() -> None:
            if pod.phase is not Phase.GONE:
                pod.phase = Phase.GONE
                del self.leaving[pod]
                self._world.nodes.leave(self._nodes.pop(pod))
                self.worker_seconds += self._world.now - pod.created_s

        return leave

    def close(self) -> None:
        """The run is over: what is still there has cost until now."""
        for pod in (*self.pods, *self.leaving):
            self.worker_seconds += self._world.now - pod.created_s
