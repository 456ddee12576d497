"""A scenario: what is sent (`load.yaml`) and what must hold then (`expect.yaml`).

Both lie in a folder, whose name is the scenario's. Everything that is wrong with them is told at
once, each with its file and place, before the first upload.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from loadtest.files import KINDS
from loadtest.runs.data import Way
from loadtest.runs.figures import ABOUT
from loadtest.shapes import SHAPES, Shape

SCENARIOS = Path(__file__).parent / "scenarios"
MAX_UPLOADS = 2_000_000
"""Of one run. Arbitrary: each is a line in memory of the generator and of the report."""

Model = TypeVar("Model", bound=BaseModel)
Share = Annotated[float, Field(ge=0, le=1)]
Weight = Annotated[float, Field(ge=0, le=1_000_000)]


class ScenarioError(ValueError):
    """A scenario that cannot be run; each of `problems` is a sentence."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Keys(_Part):
    """Where uploads go."""

    folders: int = Field(10, ge=1, le=100_000, description="folders that uploads are spread over")
    skew: float = Field(
        1.0, ge=0, le=5, description="Zipf exponent of folders and of keys: 0 = all alike"
    )
    new_versions: Share = Field(0.0, description="share of uploads that replace an earlier one")
    repeats: Share = Field(
        0.0, description="share that send what their key was sent last, once more"
    )

    @model_validator(mode="after")
    def _at_most_all(self) -> Keys:
        if self.new_versions + self.repeats > 1:
            raise ValueError("new_versions and repeats together are more than 1")
        return self


class Measure(_Part):
    """What is measured before the load begins."""

    store_puts_s: float = Field(
        0.0, ge=0, le=600, description="seconds of plain PUTs, which give the store's own rate"
    )
    steady_jobs: int = Field(
        0, ge=0, le=100_000, description="uploads at once, whose work gives the pool's own rate"
    )


class Platform(_Part):
    """How `marea up` is started, where the run starts it."""

    broker: Literal["redis", "rabbitmq"] = "redis"
    workers: int = Field(1, ge=1, le=64, description="jobs at once of a worker process")
    max_replicas: int = Field(2, ge=1, le=64, description="worker processes of a pool at most")
    settings: Mapping[str, str] = Field(
        default_factory=dict, description="MAREA_ variables besides"
    )


class Load(_Part):
    """`load.yaml`."""

    about: str = Field(min_length=1, description="one sentence")
    shape: Shape
    of_store_puts: float | None = Field(
        None,
        gt=0,
        le=10,
        description="the shape's rates are multiplied so that its highest is this share of the"
        " store's own measured PUT rate",
    )
    spacing: Literal["even", "poisson"] = "poisson"
    seed: int = 1
    senders: int = Field(48, ge=1, le=10_000, description="uploads under way at once, at most")
    watchers: int = Field(1, ge=0, le=1000, description="people who look what became of uploads")
    ways: Mapping[Way, Weight] = Field(default_factory=lambda: {"s3": 1.0})
    files: Mapping[str, Weight] = Field(default_factory=lambda: {"photo": 1.0})
    keys: Keys = Keys()
    measure: Measure = Measure()
    platform: Platform = Platform()
    settle_s: float = Field(
        300.0, gt=0, le=86_400, description="how long results are waited for after the load"
    )

    @field_validator("shape", mode="before")
    @classmethod
    def _read_shape(cls, value: Any) -> Any:
        if isinstance(value, Shape) or not isinstance(value, dict):
            return value
        settings = dict(value)
        name = settings.pop("name", None)
        if not isinstance(name, str) or name not in SHAPES:
            raise ValueError(f"name: {name!r} is none of {', '.join(SHAPES)}")
        return SHAPES[name].model_validate(settings)

    @field_validator("ways", "files")
    @classmethod
    def _some_weight(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        if not sum(weights.values()) > 0:
            raise ValueError("at least one weight has to be above 0")
        return weights

    @field_validator("files")
    @classmethod
    def _known_kinds(cls, weights: Mapping[str, float]) -> Mapping[str, float]:
        if unknown := sorted(set(weights) - set(KINDS)):
            raise ValueError(f"{unknown[0]!r} is none of {', '.join(KINDS)}")
        return weights

    @field_validator("shape")
    @classmethod
    def _sends_something(cls, shape: Shape) -> Shape:
        if not shape.highest_per_s > 0:
            raise ValueError("its rate is 0 all the time, so that nothing is ever sent")
        return shape

    @property
    def gateway_ways(self) -> tuple[Way, ...]:
        """Those ways of this load that need a gateway."""
        return tuple(way for way, weight in self.ways.items() if weight > 0 and way != "s3")

    @model_validator(mode="after")
    def _measured(self) -> Load:
        if self.of_store_puts is not None and not self.measure.store_puts_s:
            raise ValueError("of_store_puts needs measure.store_puts_s, which is 0")
        return self


class Bound(_Part):
    """One limit: a figure, and what it may be."""

    figure: str
    at_most: float | None = None
    at_least: float | None = None
    why: str = Field(min_length=1, description="where the bound comes from")
    only_at: Literal["up", "cluster", "address", ""] = ""
    """Where it is asked for; "" = everywhere."""

    @field_validator("figure")
    @classmethod
    def _known_figure(cls, name: str) -> str:
        if name not in ABOUT:
            raise ValueError(f"{name!r} is no figure; there are {', '.join(ABOUT)}")
        return name

    @model_validator(mode="after")
    def _one_relation(self) -> Bound:
        if (self.at_most is None) == (self.at_least is None):
            raise ValueError(f"{self.figure}: give either at_most or at_least")
        return self


class Expect(_Part):
    """`expect.yaml`."""

    provenance: str = Field(min_length=1, description="runs, spread, machine and commit")
    limits: tuple[Bound, ...] = ()


class Scenario(_Part):
    """Both, and the name."""

    name: str
    load: Load
    expect: Expect


def scenario_names(folder: Path = SCENARIOS) -> list[str]:
    return sorted(file.parent.name for file in folder.glob("*/load.yaml"))


def load_scenario(name: str, folder: Path = SCENARIOS) -> Scenario:
    """By its name, or by the path of its folder. Raises `ScenarioError` with every problem."""
    place = Path(name) if "/" in name else folder / name
    if not (place / "load.yaml").is_file():
        raise ScenarioError(
            [f"there is no scenario {name!r}; there are {', '.join(scenario_names(folder))}"]
        )
    problems: list[str] = []
    load = _read(place / "load.yaml", Load, problems)
    expect = _read(place / "expect.yaml", Expect, problems)
    if load is None or expect is None:
        raise ScenarioError(problems)
    return Scenario(name=place.name, load=load, expect=expect)


def _read(file: Path, model: type[Model], problems: list[str]) -> Model | None:
    try:
        return model.model_validate(yaml.safe_load(file.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as exc:
        problems.append(f"{file}: cannot be read: {exc}")
    except ValidationError as exc:
        problems += [_sentence(file, each) for each in exc.errors()]
    return None


def _sentence(file: Path, error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    words = str(error["msg"]).removeprefix("Value error, ")
    return f"{file.parent.name}/{file.name}: {place + ': ' if place else ''}{words}"
