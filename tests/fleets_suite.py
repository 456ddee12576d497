"""What every `Fleets` does, in memory and on a real API server: the suite that both pass.

A subclass gives a fixture `world` that makes pools of replicas which run and do nothing.
"""

from __future__ import annotations

from typing import Protocol

import pytest
from waiting import wait_until

from marea.errors import FleetUnavailable
from marea.kube.fleets import Fleets, FleetView

WAIT_S = 60.0


class World(Protocol):
    fleets: Fleets

    def make(self, pool: str, replicas: int) -> None:
        """A pool with so many replicas, all of which become ready."""
        ...

    def make_unstartable(self, pool: str, replicas: int) -> None:
        """A pool whose replicas stay pending."""
        ...

    def take_away(self) -> None:
        """Nobody answers from now on."""
        ...


def view(world: World, pool: str) -> FleetView:
    return world.fleets.views([pool])[pool]


def wait_for_ready(world: World, pool: str, count: int) -> FleetView:
    def has_them() -> bool:
        seen = view(world, pool)
        states = [each.state for each in seen.replicas]
        return states == ["ready"] * count and not seen.ending

    wait_until(has_them, f"{count} replicas of {pool} are ready", timeout_s=WAIT_S, poll_s=0.2)
    return view(world, pool)


class FleetsSuite:
    def test_lists_each_replica_with_its_state_and_its_start(self, world: World) -> None:
        world.make("images", 2)
        seen = wait_for_ready(world, "images", 2)
        assert seen.wanted == 2
        assert not seen.rolling
        assert len({each.name for each in seen.replicas}) == 2
        assert all(each.started_at > 0 and not each.deletion_cost for each in seen.replicas)

    def test_knows_only_the_pools_that_are_there(self, world: World) -> None:
        world.make("images", 1)
        assert set(world.fleets.views(["images", "tables"])) == {"images"}

    def test_grows_in_one_step_and_shrinks_to_nothing(self, world: World) -> None:
        world.make("images", 0)
        # A Deployment that its controller has yet to see may be a rollout.
        wait_until(
            lambda: view(world, "images") == FleetView(0),
            "it is empty",
            timeout_s=WAIT_S,
            poll_s=0.2,
        )
        world.fleets.scale("images", 3)
        assert view(world, "images").wanted == 3
        wait_for_ready(world, "images", 3)
        world.fleets.scale("images", 0)
        wait_for_ready(world, "images", 0)

    def test_the_replica_with_the_least_deletion_cost_goes_first(self, world: World) -> None:
        world.make("images", 3)
        names = [each.name for each in wait_for_ready(world, "images", 3).replicas]
        world.fleets.write_costs({names[1]: -1000})
        costs = {each.name: each.deletion_cost for each in view(world, "images").replicas}
        assert costs == {names[0]: 0, names[1]: -1000, names[2]: 0}
        world.fleets.scale("images", 2, [names[1]])
        left = wait_for_ready(world, "images", 2).replicas
        assert {each.name for each in left} == {names[0], names[2]}

    def test_a_cost_can_be_taken_off_and_one_for_nobody_is_no_error(self, world: World) -> None:
        world.make("images", 1)
        (only,) = wait_for_ready(world, "images", 1).replicas
        world.fleets.write_costs({only.name: -1000, "images-that-has-gone": -1000})
        world.fleets.write_costs({only.name: 0})
        assert [each.deletion_cost for each in view(world, "images").replicas] == [0]

    def test_a_replica_that_is_replaced_gives_way_to_another(self, world: World) -> None:
        world.make("images", 2)
        first, second = wait_for_ready(world, "images", 2).replicas
        world.fleets.replace("images", first.name)

        def has_another() -> bool:
            names = {each.name for each in view(world, "images").replicas}
            return first.name not in names and second.name in names and len(names) == 2

        wait_until(has_another, "another is there", timeout_s=WAIT_S, poll_s=0.2)
        assert wait_for_ready(world, "images", 2).wanted == 2

    def test_a_replica_that_has_gone_is_replaced_already(self, world: World) -> None:
        world.make("images", 1)
        (only,) = wait_for_ready(world, "images", 1).replicas
        world.fleets.replace("images", "images-that-has-gone")
        assert [each.name for each in view(world, "images").replicas] == [only.name]

    def test_replicas_that_cannot_start_are_pending(self, world: World) -> None:
        world.make_unstartable("images", 2)
        wait_until(
            lambda: [each.state for each in view(world, "images").replicas] == ["pending"] * 2,
            "both are listed",
            timeout_s=WAIT_S,
        )

    def test_a_pool_that_is_not_there_cannot_be_scaled(self, world: World) -> None:
        with pytest.raises(FleetUnavailable, match="tables"):
            world.fleets.scale("tables", 1)

    def test_a_change_can_be_announced(self, world: World) -> None:
        world.make("images", 1)
        world.fleets.views(["images"])
        world.fleets.announce("images", "Scaled from 0 to 1: a job came")

    def test_one_leads(self, world: World) -> None:
        assert world.fleets.is_leader()
        assert world.fleets.is_leader()

    def test_whoever_does_not_answer_is_unavailable(self, world: World) -> None:
        world.take_away()
        for call in (lambda: world.fleets.views(["images"]), world.fleets.is_leader):
            with pytest.raises(FleetUnavailable):
                call()
