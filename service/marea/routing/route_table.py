"""The rule table: from the facts of an upload to its plan.

Matching is three-valued. Events leave out content type, metadata and tags; asking the store
for them costs a request per upload, so `plan` says "needs-facts" only where the answer
depends on them. Built by `table.load_rules`, which refuses rules with any problem.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from marea.messages.job import Job
from marea.routing.route import Fact, Plan, UploadFacts
from marea.routing.rule import Rule, Verdict

Match = Literal["first", "all"]


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """What one rule says of an upload."""

    rule: Rule
    verdict: Verdict
    is_reached: bool = True
    """False: an earlier rule matched, and the first match decides."""

    def __str__(self) -> str:
        if not self.is_reached:
            return f"{self.rule.label}: not reached, an earlier rule matches"
        match self.verdict:
            case Verdict(True):
                return f"{self.rule.label}: matches"
            case Verdict(False, condition):
                return f"{self.rule.label}: does not match, {condition}"
            case Verdict(_, condition):
                return f"{self.rule.label}: not known yet, {condition}"


@dataclass(frozen=True, slots=True)
class Explanation:
    """A plan and how every rule contributed to it."""

    plan: Plan
    rules: tuple[RuleVerdict, ...]
    """All rules in order; empty if the upload is ignored before any rule is asked."""


@dataclass(frozen=True, slots=True)
class RouteTable:
    """Checked rules in their order."""

    rules: tuple[Rule, ...]
    match: Match
    source_buckets: frozenset[str]
    results_bucket: str
    reserved_prefix: str
    warnings: tuple[str, ...] = ()
    """What looks wrong and is allowed; to be shown at start-up."""

    @property
    def needs(self) -> frozenset[Fact]:
        """Every fact that some rule may have to know."""
        return frozenset().union(*(rule.needs for rule in self.rules))

    @property
    def pools(self) -> frozenset[str]:
        """Every pool that some rule sends to."""
        return frozenset(pool for rule in self.rules for pool in rule.pools.values())

    def plan(self, facts: UploadFacts) -> Plan:
        """What becomes of the upload. Deterministic."""
        ignored = self._ignored_because(facts)
        if ignored:
            return Plan("ignored", ignored)
        certain: list[Rule] = []
        uncertain: list[Rule] = []
        missing: frozenset[Fact] = frozenset()
        jobs: dict[str, Job] = {}  # by pipeline: of two rules with the same one, the first wins
        possible: list[Job] = []
        for rule in self.rules:
            verdict = rule.verdict(facts)
            if verdict.matched is False:
                continue
            offered = [job for job in rule.jobs(facts) if job.pipeline not in jobs]
            if not offered:
                continue  # whatever it says, it adds nothing
            possible.extend(offered)
            if verdict.matched is None:
                uncertain.append(rule)
                missing |= verdict.missing
                continue
            certain.append(rule)
            jobs.update((job.pipeline, job) for job in offered)
            if self.match == "first":
                break
        if uncertain:
            return Plan(
                "needs-facts",
                f"{_labels(uncertain)} may match, depending on {', '.join(sorted(missing))}",
                missing=missing,
                possible=tuple(possible),
            )
        if not jobs:
            return Plan("unrouted", "no rule matches")
        return Plan("routed", f"matched by {_labels(certain)}", jobs=tuple(jobs.values()))

    def explain(self, facts: UploadFacts) -> Explanation:
        """The plan, and every rule's verdict on the way to it."""
        plan = self.plan(facts)
        if plan.outcome == "ignored":
            return Explanation(plan, ())
        verdicts: list[RuleVerdict] = []
        is_decided = False
        for rule in self.rules:
            verdict = rule.verdict(facts)
            verdicts.append(RuleVerdict(rule, verdict, is_reached=not is_decided))
            is_decided = is_decided or (self.match == "first" and verdict.matched is True)
        return Explanation(plan, tuple(verdicts))

    def _ignored_because(self, facts: UploadFacts) -> str:
        ref = facts.ref
        if ref.bucket == self.results_bucket:
            return f"{ref.bucket!r} is the results bucket: a result is not an upload"
        if ref.bucket not in self.source_buckets:
            return f"{ref.bucket!r} is not a source bucket"
        if ref.key.startswith(self.reserved_prefix):
            return f"keys under {self.reserved_prefix!r} are Marea's own"
        if ref.key.endswith("/") and ref.size_bytes == 0:
            return "an empty object whose key ends with '/' marks a folder"
        return ""


def _labels(rules: Iterable[Rule]) -> str:
    return ", ".join(rule.label for rule in rules)
