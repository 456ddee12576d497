"""One checked rule, and its three-valued answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from marea.messages.job import Job, Priority
from marea.routing.conditions import KEY_KINDS, Condition
from marea.routing.route import Fact, UploadFacts

PREFIX_TENANT = "{prefix}"
"""The tenant is the key's first path segment; "" for a key without one."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a rule matches. `condition` is the one that decided; None if all hold."""

    matched: bool | None
    """None = it depends on `missing`."""
    condition: Condition | None = None
    missing: frozenset[Fact] = frozenset()


@dataclass(frozen=True, slots=True)
class Rule:
    """When every condition holds, the upload goes through each pipeline."""

    name: str
    line: int
    conditions: tuple[Condition, ...]
    pools: Mapping[str, str]
    """Pipeline name → the pool that runs it, in the rule's order."""
    priority: Priority = "normal"
    delay_s: float = 0.0
    tenant: str = PREFIX_TENANT

    @property
    def label(self) -> str:
        """For sentences."""
        return f"rule {self.name!r} (line {self.line})"

    @property
    def needs(self) -> frozenset[Fact]:
        """Facts that the rule may have to know."""
        return frozenset(each.fact for each in self.conditions if each.fact is not None)

    def verdict(self, facts: UploadFacts) -> Verdict:
        """One "no" decides, whatever is unknown besides."""
        unknown: list[Condition] = []
        for condition in self.conditions:
            holds = condition.test(facts)
            if holds is False:
                return Verdict(False, condition)
            if holds is None:
                unknown.append(condition)
        if unknown:
            missing = frozenset(each.fact for each in unknown if each.fact is not None)
            return Verdict(None, unknown[0], missing)
        return Verdict(True)

    def admits_key(self, facts: UploadFacts) -> bool:
        """Whether an object of this name could match, its other properties being right."""
        return all(each.test(facts) for each in self.conditions if each.kind in KEY_KINDS)

    def jobs(self, facts: UploadFacts) -> tuple[Job, ...]:
        """One job per pipeline."""
        return tuple(
            Job(
                ref=facts.ref,
                pipeline=pipeline,
                pool=pool,
                priority=self.priority,
                tenant=self._tenant_of(facts.ref.key),
                route=self.name,
                not_before=facts.uploaded_at + self.delay_s if self.delay_s else 0.0,
            )
            for pipeline, pool in self.pools.items()
        )

    def _tenant_of(self, key: str) -> str:
        if self.tenant != PREFIX_TENANT:
            return self.tenant
        first, slash, _ = key.partition("/")
        return first if slash else ""
