"""When each upload is due and what it is: drawn before the run, the same for the same seed.

Nothing that happens in the run changes the schedule. A client that waits for a slow answer
before it sends again measures its own patience (coordinated omission); here the next upload is
due when it is due, and what goes out late is counted as late.
"""

from __future__ import annotations

import bisect
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Generic, TypeVar

from loadtest.files import KINDS
from loadtest.runs.data import Way
from loadtest.scenario import MAX_UPLOADS, Load, ScenarioError
from loadtest.shapes import Shape

GRID_S = 0.02
"""Of the integral of a rate; finer than any shape bends."""
GRID_MOST = 20_000
"""Pieces between two edges at most."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One upload to be."""

    number: int
    due_s: float
    way: Way
    kind: str
    key: str
    serial: int
    """Of its content."""


def rate_factor(load: Load, store_puts_per_s: float | None) -> float:
    """What the shape's rates are multiplied by. Raises `ScenarioError` where the store's rate is
    needed and not known."""
    if load.of_store_puts is None:
        return 1.0
    if not store_puts_per_s:
        raise ScenarioError(["of_store_puts: the store's own PUT rate was not measured"])
    return load.of_store_puts * store_puts_per_s / load.shape.highest_per_s


def draw_schedule(load: Load, prefix: str, factor: float = 1.0) -> list[Arrival]:
    """Every upload of a run under `prefix`, by when it is due. Raises `ScenarioError` for more
    than `MAX_UPLOADS`."""
    chance = random.Random(load.seed)
    times = arrival_times(load.shape, factor, chance if load.spacing == "poisson" else None)
    draw = _Draw(load, prefix, chance)
    return [draw.arrival(number, at_s) for number, at_s in enumerate(times)]


def arrival_times(
    shape: Shape, factor: float = 1.0, chance: random.Random | None = None
) -> list[float]:
    """When uploads are due, ascending: evenly spaced under the rate, or by `chance` as
    independent clients send (a Poisson process of that rate)."""
    times: list[float] = []
    due = _next_due(0.0, chance) if chance else 0.5
    passed = 0.0
    for from_s, to_s in pairwise(sorted(set(shape.edges))):
        pieces = min(GRID_MOST, max(1, round((to_s - from_s) / GRID_S)))
        length_s = (to_s - from_s) / pieces
        for piece in range(pieces):
            at_s = from_s + piece * length_s
            more = shape.rate_at(at_s + length_s / 2) * factor * length_s
            while due <= passed + more and more > 0:
                times.append(at_s + length_s * (due - passed) / more)
                if len(times) > MAX_UPLOADS:
                    raise ScenarioError([f"shape: more than {MAX_UPLOADS:,} uploads in one run"])
                due = _next_due(due, chance) if chance else due + 1.0
            passed += more
    return times


def _next_due(due: float, chance: random.Random) -> float:
    return due + chance.expovariate(1.0)


class _Draw:
    """Ways, kinds and keys by their weights."""

    def __init__(self, load: Load, prefix: str, chance: random.Random) -> None:
        self._chance, self._keys, self._prefix = chance, load.keys, prefix
        self._ways, self._kinds = _Weighted(load.ways), _Weighted(load.files)
        self._pictures = _Weighted(
            {name: weight for name, weight in load.files.items() if KINDS[name].is_picture}
            or {"thumb": 1.0}
        )
        ranks = range(1, load.keys.folders + 1)
        self._folders = _Weighted({f"{n:04}": n**-load.keys.skew for n in ranks})
        self._earlier: list[Arrival] = []
        """Of each key its latest upload, in the order of the first ones."""

    def arrival(self, number: int, at_s: float) -> Arrival:
        way = self._ways.pick(self._chance)
        share = self._chance.random()
        if way != "job" and self._earlier and share < self._keys.new_versions + self._keys.repeats:
            place = self._rank(len(self._earlier))
            latest = self._earlier[place]
            is_new = share < self._keys.new_versions
            serial = number if is_new else latest.serial
            again = Arrival(number, at_s, way, latest.kind, latest.key, serial)
            self._earlier[place] = again
            return again
        # A pipeline of the client's choice is one for pictures.
        kinds = self._pictures if way == "job" else self._kinds
        kind = kinds.pick(self._chance)
        folder = self._folders.pick(self._chance)
        key = f"{self._prefix}{folder}/{kind}-{number:06}.{KINDS[kind].extension}"
        arrival = Arrival(number, at_s, way, kind, key, number)
        if way != "job":
            self._earlier.append(arrival)
        return arrival

    def _rank(self, count: int) -> int:
        """A place among `count`, the first the likeliest: about Zipf's law by its integral."""
        skew, share = self._keys.skew, self._chance.random()
        if abs(skew - 1.0) < 1e-6:
            place = (count + 1) ** share
        else:
            power = 1.0 - skew
            place = (1.0 + share * ((count + 1) ** power - 1.0)) ** (1.0 / power)
        return min(int(place), count) - 1


Name = TypeVar("Name", bound=str)


class _Weighted(Generic[Name]):
    """Names, picked by their weights."""

    def __init__(self, weights: Mapping[Name, float]) -> None:
        self._names: Sequence[Name] = [name for name, weight in weights.items() if weight > 0]
        self._sums = list(accumulate(weights[name] for name in self._names))

    def pick(self, chance: random.Random) -> Name:
        return self._names[bisect.bisect_right(self._sums, chance.random() * self._sums[-1])]


def part_of(arrivals: Sequence[Arrival], rank: int, of: int) -> list[Arrival]:
    """What the process `rank` of so many sends: all of them together send each upload once."""
    return [arrival for arrival in arrivals if arrival.number % of == rank]


def shares(arrivals: Sequence[Arrival]) -> Iterator[tuple[Way, list[Arrival]]]:
    """The schedule apart by way, each in its order."""
    for way in sorted({arrival.way for arrival in arrivals}):
        yield way, [arrival for arrival in arrivals if arrival.way == way]
