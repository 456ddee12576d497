"""What every ledger does with jobs, in memory and on a real Redis alike."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from ledger_states import RETENTION_S, START, make_job, make_state, saved, saved_ids

from marea.clock import FakeClock
from marea.errors import PermanentError
from marea.lifecycle.state import OPEN_PHASES, Phase
from marea.messages.record import TERMINAL_STATES
from marea.results.ledger import Ledger, OpenCount

# compare-and-swap


def test_loads_nothing_for_an_unknown_id(ledger: Ledger) -> None:
    assert ledger.load("0" * 32) is None


def test_loads_what_was_saved_with_the_next_rev(ledger: Ledger) -> None:
    state = make_state(
        "año/ñ\udcff\t\n.jpg",
        "running",
        job={"priority": "high", "mode": "replay", "tenant": "te\tnant", "not_before": 5.5},
        attempts=2,
        suspects=1,
        deferrals=3,
        publishes=4,
        owner="worker-1",
        started_at=START + 0.123456,
        finished_at=START + 2,
        due_at=START + 3,
        code="a-code",
        reason="A sentence,\nin two lines.",
    )
    assert ledger.save(state) == state.but(rev=1)
    assert ledger.load(state.job.id) == state.but(rev=1)


def test_refuses_a_first_save_when_the_job_is_known(ledger: Ledger) -> None:
    saved(ledger, make_state(attempts=1))
    assert ledger.save(make_state(attempts=2)) is None
    stored = ledger.load(make_job().id)
    assert stored is not None
    assert stored.attempts == 1


def test_refuses_a_save_of_an_older_rev(ledger: Ledger) -> None:
    first = saved(ledger, make_state())
    saved(ledger, first.but(attempts=1))
    assert ledger.save(first.but(attempts=9)) is None


def test_refuses_a_later_save_when_the_job_is_unknown(ledger: Ledger) -> None:
    assert ledger.save(make_state(rev=3)) is None
    assert ledger.load(make_job().id) is None


def test_lets_exactly_one_of_16_threads_win_each_rev(ledger: Ledger) -> None:
    barrier = threading.Barrier(16)

    def race(owner: int) -> list[bool]:
        wins = []
        for rev in range(20):
            barrier.wait(timeout=30)
            state = make_state(phase="running", rev=rev, owner=f"worker-{owner}")
            wins.append(ledger.save(state) is not None)
        return wins

    with ThreadPoolExecutor(16) as threads:
        wins_of_each = list(threads.map(race, range(16)))
    assert [sum(wins) for wins in zip(*wins_of_each, strict=True)] == [1] * 20
    assert len(ledger.running()) == 1
    assert ledger.tenant_counts() == {"acme": 1}


def test_loads_many_and_leaves_out_the_unknown(ledger: Ledger) -> None:
    one, two = saved(ledger, make_state("1")), saved(ledger, make_state("2"))
    found = ledger.load_many([one.job.id, "0" * 32, two.job.id])
    assert found == {one.job.id: one, two.job.id: two}
    assert ledger.load_many([]) == {}


def test_saves_many_independently_and_replies_in_order(ledger: Ledger) -> None:
    saved(ledger, make_state("known"))
    new, later = make_state("new"), make_state("new", "running", rev=1)
    replies = ledger.save_many([new, make_state("known"), later])
    assert replies == [new.but(rev=1), None, later.but(rev=2)]
    assert ledger.save_many([]) == []


# indexes


def test_lists_due_jobs_earliest_first_up_to_now(ledger: Ledger) -> None:
    late, early, _future = saved_ids(
        ledger,
        late={"phase": "delayed", "due_at": START},
        early={"phase": "delayed", "due_at": START - 10},
        future={"phase": "delayed", "due_at": START + 0.001},
    )
    assert ledger.due(START, 10) == [early, late]
    assert ledger.due(START, 1) == [early]


def test_lists_accepted_jobs_not_touched_since(ledger: Ledger) -> None:
    newer, older, _fresh = saved_ids(
        ledger,
        newer={"phase": "accepted", "updated_at": START - 11},
        older={"phase": "accepted", "updated_at": START - 20},
        fresh={"phase": "accepted", "updated_at": START - 10},
    )
    assert ledger.accepted(updated_before=START - 10, limit=10) == [older, newer]
    assert ledger.accepted(updated_before=START - 10, limit=1) == [older]


def test_lists_queued_jobs_of_one_pool_and_priority_oldest_publish_first(ledger: Ledger) -> None:
    second, first, *_others = saved_ids(
        ledger,
        second={"published_at": START - 1},
        first={"published_at": START - 2},
        fresh={"published_at": START},
        high={"published_at": START - 9, "job": {"priority": "high"}},
        tables={"published_at": START - 9, "job": {"pool": "tables"}},
        running={"phase": "running", "published_at": START - 9},
    )
    assert ledger.queued("images", "normal", published_before=START, limit=9) == [first, second]
    assert ledger.queued("images", "normal", published_before=START, limit=1) == [first]
    assert ledger.queued("nobody", "normal", published_before=START, limit=9) == []


def test_lists_verdicts(ledger: Ledger) -> None:
    ids = saved_ids(ledger, a={"phase": "verdict"}, b={"phase": "verdict"}, c={"phase": "dead"})
    assert set(ledger.verdicts(10)) == set(ids[:2])
    assert len(ledger.verdicts(1)) == 1


def test_knows_who_runs_what_until_it_ends(ledger: Ledger) -> None:
    running = saved(ledger, make_state(phase="running", owner="worker-1"))
    assert ledger.running() == {running.job.id: "worker-1"}
    moved = saved(ledger, running.but(owner="worker-2"))
    assert ledger.running() == {running.job.id: "worker-2"}
    saved(ledger, moved.but(phase="done", owner=""))
    assert ledger.running() == {}


def test_counts_open_jobs_per_pool_and_priority(ledger: Ledger) -> None:
    saved_ids(
        ledger,
        a={},
        b={},
        c={"phase": "running"},
        d={"job": {"priority": "high"}},
        e={"phase": "running", "job": {"pool": "tables"}},
        f={"phase": "delayed"},
        g={"phase": "done"},
    )
    assert ledger.open_counts() == {
        ("images", "normal"): OpenCount(2, 1),
        ("images", "high"): OpenCount(1, 0),
        ("tables", "normal"): OpenCount(0, 1),
    }


def test_counts_quarantined_jobs_under_the_quarantine_pool(ledger: Ledger) -> None:
    state = saved(ledger, make_state(suspects=1))
    assert ledger.open_counts() == {("images", "normal"): OpenCount(1, 0)}
    state = saved(ledger, state.but(suspects=2))
    assert ledger.open_counts() == {("quarantine", "normal"): OpenCount(1, 0)}
    found = ledger.queued("quarantine", "normal", published_before=START + 1, limit=9)
    assert found == [state.job.id]
    saved(ledger, state.but(phase="running"))
    assert ledger.open_counts() == {("quarantine", "normal"): OpenCount(0, 1)}
    assert ledger.last_started_publish("quarantine", "normal") == START
    assert ledger.last_started_publish("images", "normal") == 0.0


def test_remembers_the_latest_publish_that_started(ledger: Ledger) -> None:
    assert ledger.last_started_publish("images", "normal") == 0.0
    saved(ledger, make_state("b", "running", published_at=START + 7.25))
    earlier = saved(ledger, make_state("a", "running", published_at=START))
    saved(ledger, make_state("c", "queued", published_at=START + 99))
    saved(ledger, earlier.but(phase="done"))
    assert ledger.last_started_publish("images", "normal") == START + 7.25
    assert ledger.last_started_publish("images", "high") == 0.0


def test_counts_every_phase(ledger: Ledger) -> None:
    phases: tuple[Phase, ...] = (*OPEN_PHASES, *TERMINAL_STATES)
    assert ledger.phase_counts() == dict.fromkeys(phases, 0)
    for phase in phases:
        saved(ledger, make_state(phase, phase))
    assert ledger.phase_counts() == dict.fromkeys(phases, 1)


def test_counts_a_tenants_jobs_in_the_broker(ledger: Ledger) -> None:
    queued = saved(ledger, make_state("a", job={"tenant": 'we"ird\n'}))
    saved_ids(
        ledger,
        b={"phase": "running", "job": {"tenant": 'we"ird\n'}},
        c={"phase": "waiting"},
        d={"phase": "delayed"},
        e={"job": {"tenant": ""}},
    )
    assert ledger.tenant_counts() == {'we"ird\n': 2, "": 1}
    assert ledger.tenants_in_broker(['we"ird\n', "acme"]) == {'we"ird\n': 2, "acme": 0}
    assert ledger.tenants_in_broker([]) == {}
    rows, loads = ledger.load_with_tenants([queued.job.id, "0" * 32], ["acme", 'we"ird\n'])
    assert rows == {queued.job.id: queued}
    assert loads == {"acme": 0, 'we"ird\n': 2}
    saved(ledger, queued.but(phase="done"))
    assert ledger.tenant_counts() == {'we"ird\n': 1, "": 1}


def test_lists_waiting_jobs_per_tenant_oldest_first(ledger: Ledger) -> None:
    newer, older, other = saved_ids(
        ledger,
        newer={"phase": "waiting", "created_at": START},
        older={"phase": "waiting", "created_at": START - 1},
        other={"phase": "waiting", "job": {"tenant": "ze\tta"}},
    )
    assert ledger.waiting_tenants() == ["acme", "ze\tta"]
    assert ledger.waiting("acme", 9) == [older, newer]
    assert ledger.waiting("acme", 1) == [older]
    state = ledger.load(other)
    assert state is not None
    saved(ledger, state.but(phase="queued"))
    assert ledger.waiting_tenants() == ["acme"]


# retention


def test_forgets_an_ended_job_after_the_retention(ledger: Ledger, clock: FakeClock) -> None:
    done = saved(ledger, make_state(phase="done"))
    clock.sleep(RETENTION_S - 1)
    assert ledger.load(done.job.id) == done
    assert ledger.phase_counts()["done"] == 1
    clock.sleep(1)
    assert ledger.load(done.job.id) is None
    assert ledger.load_many([done.job.id]) == {}
    assert ledger.phase_counts()["done"] == 0
    assert ledger.page().states == ()
    assert ledger.page(phase="done").states == ()


def test_takes_a_forgotten_job_as_new(ledger: Ledger, clock: FakeClock) -> None:
    done = saved(ledger, make_state(phase="done"))
    clock.sleep(RETENTION_S)
    assert ledger.save(done.but(phase="queued")) is None
    again = saved(ledger, make_state(phase="queued"))
    assert again.rev == 1
    assert ledger.phase_counts()["done"] == 0
    assert [state.job.id for state in ledger.page().states] == [again.job.id]
    clock.sleep(10 * RETENTION_S)
    assert ledger.load(again.job.id) == again


def test_never_forgets_an_open_job(ledger: Ledger, clock: FakeClock) -> None:
    replayed = saved(ledger, saved(ledger, make_state(phase="dead")).but(phase="queued"))
    clock.sleep(100 * RETENTION_S)
    assert ledger.load(replayed.job.id) == replayed
    assert ledger.phase_counts()["queued"] == 1


# pages


def collected_pages(
    ledger: Ledger, limit: int, phase: Phase | None = None
) -> list[tuple[str, ...]]:
    pages, cursor = [], None
    while True:
        page = ledger.page(phase=phase, cursor=cursor, limit=limit)
        pages.append(tuple(state.job.ref.key for state in page.states))
        cursor = page.cursor
        if cursor is None:
            return pages


def test_pages_through_all_jobs_newest_first(ledger: Ledger) -> None:
    saved_ids(ledger, **{key: {"created_at": START + int(key)} for key in "12345"})
    assert collected_pages(ledger, 2) == [("5", "4"), ("3", "2"), ("1",)]
    assert collected_pages(ledger, 5) == [("5", "4", "3", "2", "1")]
    assert ledger.page(limit=9).cursor is None


def test_pages_through_jobs_that_share_their_time(ledger: Ledger) -> None:
    keys = {f"key-{number}" for number in range(25)}
    ledger.save_many([make_state(key, "done") for key in sorted(keys)])
    for phase in (None, "done"):
        pages = collected_pages(ledger, 4, phase)
        assert [len(page) for page in pages] == [4] * 6 + [1]
        assert {key for page in pages for key in page} == keys


def test_shows_no_job_twice_when_new_ones_arrive_between_pages(ledger: Ledger) -> None:
    saved_ids(ledger, **{key: {"created_at": START + int(key)} for key in "1234"})
    first = ledger.page(limit=2)
    saved_ids(ledger, **{key: {"created_at": START + int(key)} for key in "56"})
    second = ledger.page(cursor=first.cursor, limit=2)
    keys = [state.job.ref.key for state in (*first.states, *second.states)]
    assert keys == ["4", "3", "2", "1"]


def test_goes_on_after_a_job_that_has_left_the_phase(ledger: Ledger) -> None:
    saved_ids(ledger, **{key: {"published_at": START + int(key)} for key in "123"})
    first = ledger.page(phase="queued", limit=1)
    saved(ledger, first.states[0].but(phase="running"))
    second = ledger.page(phase="queued", cursor=first.cursor, limit=9)
    assert [state.job.ref.key for state in second.states] == ["2", "1"]


def test_pages_one_phase_over_all_pools_and_tenants(ledger: Ledger) -> None:
    saved_ids(
        ledger,
        a={"published_at": START + 1, "job": {"pool": "tables"}},
        b={"published_at": START + 3},
        c={"published_at": START + 2, "job": {"priority": "high"}},
        d={"phase": "waiting", "created_at": START + 1, "job": {"tenant": "one"}},
        e={"phase": "waiting", "created_at": START + 2, "job": {"tenant": "two"}},
        f={"phase": "dead"},
    )
    assert collected_pages(ledger, 2, "queued") == [("b", "c"), ("a",)]
    assert collected_pages(ledger, 1, "waiting") == [("e",), ("d",)]
    assert collected_pages(ledger, 5, "dead") == [("f",)]
    assert collected_pages(ledger, 5, "running") == [()]


def test_lists_the_latest_ended_first(ledger: Ledger, clock: FakeClock) -> None:
    for key in "bac":
        saved(ledger, make_state(key, "dead"))
        clock.sleep(1)
    assert collected_pages(ledger, 2, "dead") == [("c", "a"), ("b",)]


@pytest.mark.parametrize("cursor", ["nonsense", "_", "nan_" + "0" * 32, "inf_x", "1.0"])
def test_refuses_a_cursor_that_it_did_not_give(ledger: Ledger, cursor: str) -> None:
    with pytest.raises(PermanentError) as caught:
        ledger.page(cursor=cursor)
    assert caught.value.code == "cursor-invalid"
