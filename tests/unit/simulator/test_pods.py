"""Pods and their queue: what Kubernetes removes first, what SIGTERM and SIGKILL do to jobs."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marea.simulator.cluster import Cluster, WorkerProfile
from marea.simulator.pod import Phase, Pod
from marea.simulator.pool import Pool
from marea.simulator.scaler import Scaler
from marea.simulator.score import percentile, score
from marea.simulator.trace import Job, PoolSpec, Trace
from marea.simulator.victims import victims
from marea.simulator.world import World

AT_ONCE = Cluster(start_median_s=0.001, start_p95_s=0.001)


class Script(Scaler):
    """Does what it is told at given times."""

    def __init__(
        self,
        *steps: tuple[float, Callable[[Pool], None]],
        profile: WorkerProfile | None = None,
    ) -> None:
        self.profile = profile or WorkerProfile()
        self._steps = steps

    def begin(self, world: World) -> None:
        pool = world.pools["default"]
        for at_s, act in self._steps:
            world.at(at_s, lambda act=act: act(pool))


def run(jobs: list[Job], script: Script, cluster: Cluster = AT_ONCE, slots: int = 1) -> World:
    trace = Trace("test", "", tuple(jobs), (PoolSpec(slots=slots),))
    world = World(trace, script, cluster, 0)
    world.run()
    return world


def pod(number: int, phase: Phase = Phase.READY, ready_s: float = 0.0, cost: int = 0) -> Pod:
    made = Pod(number, 0.0, 4, 4, number / 100, phase, cost=cost)
    made.ready_s = ready_s if phase is Phase.READY else None
    return made


def test_pending_goes_before_not_ready_before_low_cost_before_the_newest() -> None:
    pods = [
        pod(1, ready_s=0.0),
        pod(2, ready_s=990.0),
        pod(3, ready_s=0.0, cost=-1000),
        pod(4, Phase.STARTING),
        pod(5, Phase.PENDING),
    ]
    assert [each.number for each in victims(pods, 5, 1000.0)] == [5, 4, 3, 2, 1]


def test_ages_within_a_power_of_two_are_the_same() -> None:
    pods = [pod(1, ready_s=400.0), pod(2, ready_s=300.0)]
    assert [each.number for each in victims(pods, 1, 1000.0)] == [1]
    pods = [pod(2, ready_s=400.0), pod(1, ready_s=300.0)]
    assert [each.number for each in victims(pods, 1, 1000.0)] == [1]


def test_a_busy_pod_is_removed_as_readily_as_an_idle_one() -> None:
    busy = pod(1)
    busy.running = {object(): 0.0}  # type: ignore[dict-item]
    assert victims([pod(2), busy], 1, 100.0) == [busy]


def test_a_job_within_the_grace_ends_and_one_beyond_it_is_lost_and_comes_again() -> None:
    jobs = [Job(0.0, 40.0), Job(0.0, 100.0)]
    script = Script(
        (0.0, lambda pool: pool.scale(2)),
        (20.0, lambda pool: pool.scale(0)),
        (60.0, lambda pool: pool.scale(1)),
        (200.0, lambda pool: pool.scale(0)),
    )
    world = run(jobs, script)
    pool = world.pools["default"]
    assert pool.interrupted == 1
    assert pool.lost_work_s == pytest.approx(50.0, abs=0.1)
    assert sorted(task.finished_s for task in pool.tasks) == pytest.approx([40.0, 160.0], abs=0.1)
    assert score(world).wait_p99_s == pytest.approx(60.0, abs=0.1)


def test_redelivery_can_take_the_visibility_timeout() -> None:
    script = Script(
        (0.0, lambda pool: pool.scale(1)),
        (20.0, lambda pool: pool.scale(0)),
        (60.0, lambda pool: pool.scale(1)),
        (5000.0, lambda pool: pool.scale(0)),
    )
    cluster = Cluster(start_median_s=0.001, start_p95_s=0.001, redelivery_s=3600.0)
    world = run([Job(0.0, 100.0)], script, cluster)
    assert world.pools["default"].tasks[0].finished_s == pytest.approx(50.0 + 3600.0 + 100.0)


def test_prefetched_messages_wait_in_one_worker_while_another_is_idle() -> None:
    jobs = [Job(float(n) / 100, 10.0) for n in range(4)]
    script = Script(
        (0.0, lambda pool: pool.scale(1)),
        (5.0, lambda pool: pool.scale(2)),
        (100.0, lambda pool: pool.scale(0)),
        profile=WorkerProfile(prefetch_per_slot=4),
    )
    world = run(jobs, script)
    assert score(world).drain_s == pytest.approx(40.0, abs=0.1)
    fair = Script(*script._steps)
    assert score(run(jobs, fair)).drain_s == pytest.approx(25.0, abs=0.1)


def test_a_worker_that_ends_gives_its_prefetched_messages_back() -> None:
    jobs = [Job(0.0, 10.0) for _ in range(4)]
    script = Script(
        (0.0, lambda pool: pool.scale(1)),
        (5.0, lambda pool: pool.scale(0)),
        (6.0, lambda pool: pool.scale(1)),
        (100.0, lambda pool: pool.scale(0)),
        profile=WorkerProfile(prefetch_per_slot=4),
    )
    world = run(jobs, script)
    assert world.pools["default"].interrupted == 0
    assert score(world).drain_s == pytest.approx(36.0, abs=0.1)


def test_a_worker_that_does_not_consume_ends_what_it_has_and_takes_no_more() -> None:
    def stop(pool: Pool) -> None:
        pool.consume(pool.pods[0], False)

    def go_on(pool: Pool) -> None:
        pool.consume(pool.pods[0], True)

    script = Script(
        (0.0, lambda pool: pool.scale(1)),
        (5.0, stop),
        (30.0, go_on),
        (100.0, lambda pool: pool.scale(0)),
    )
    world = run([Job(0.0, 10.0), Job(0.0, 10.0)], script)
    ends = [task.finished_s for task in world.pools["default"].tasks]
    assert ends == pytest.approx([10.0, 40.0], abs=0.1)


def test_worker_seconds_count_starting_and_ending() -> None:
    script = Script((0.0, lambda pool: pool.scale(1)), (50.0, lambda pool: pool.scale(0)))
    world = run([Job(45.0, 25.0)], script, Cluster(start_median_s=40.0, start_p95_s=40.0))
    assert world.pools["default"].worker_seconds == pytest.approx(45.0 + 25.0 + 1.0)


def test_pods_beyond_the_warm_room_wait_for_a_node() -> None:
    trace = Trace("cold", "", (Job(0.0, 1.0),), warm_pods=3)
    starts: list[float] = []

    class Ready(Script):
        def pod_ready(self, pool: Pool, pod: Pod) -> None:
            starts.append(pod.ready_s or 0.0)

    script = Ready((0.0, lambda pool: pool.scale(15)), (300.0, lambda pool: pool.scale(0)))
    World(trace, script, AT_ONCE, 3).run()
    assert [start < 1.0 for start in starts] == [True] * 3 + [False] * 12
    assert all(60.0 <= start <= 120.1 for start in starts[3:])
    assert len({round(start, 1) for start in starts[3:]}) == 2  # ten to a node


def test_a_run_is_not_given_up_while_its_work_takes_days() -> None:
    script = Script((0.0, lambda pool: pool.scale(1)), (400_000.0, lambda pool: pool.scale(0)))
    jobs = [Job(0.0, 100_000.0), *(Job(1.0, 3_600.0) for _ in range(50))]
    trace = Trace("days", "", tuple(jobs), (PoolSpec(slots=1, max_replicas=1),))
    world = World(trace, script, AT_ONCE, 0)
    world.run()
    assert score(world).drain_s == pytest.approx(280_000.0, abs=1.0)


JOBS = st.lists(
    st.builds(Job, st.floats(0, 60), st.floats(0.01, 200)), min_size=1, max_size=30
).map(lambda jobs: sorted(jobs, key=lambda job: job.at_s))


@given(JOBS, st.lists(st.tuples(st.floats(0, 400), st.integers(0, 6)), max_size=12))
def test_no_job_is_lost_or_done_twice_whatever_is_scaled(
    jobs: list[Job], scales: list[tuple[float, int]]
) -> None:
    steps = [(at_s, lambda pool, n=n: pool.scale(n)) for at_s, n in scales]
    steps += [(500.0, lambda pool: pool.scale(3))]
    script = Script(*steps, profile=WorkerProfile(prefetch_per_slot=3))
    world = run(jobs, script, Cluster(), slots=2)
    assert world.is_drained
    assert len(world.pools["default"].tasks) == len(jobs)
    for task in world.pools["default"].tasks:
        assert task.started_s is not None
        assert task.finished_s is not None
        assert task.finished_s - task.started_s == pytest.approx(task.job.work_s)


@given(st.lists(st.floats(0, 100), min_size=1), st.sampled_from([0.5, 0.95, 0.99]))
def test_a_percentile_is_a_value_that_occurred_with_its_share_below(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert found in ordered
    assert sum(value <= found for value in ordered) >= share * len(ordered) - 1e-9
