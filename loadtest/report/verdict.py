"""What a run proved, in a word and a sentence. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from loadtest.evidence import VIOLATIONS
from loadtest.report import words
from loadtest.runs.data import Limit, Run

Word = Literal["PASSED", "FAILED", "PARTIAL"]

HEADLINE = ("lost", "duplicated", "wrong")
"""Of the checker's counts those that are always told."""
BROKEN = (*HEADLINE, *(kind for kind in VIOLATIONS if kind not in HEADLINE))
"""The checker's counts that must be 0. `vanished` is the store's own loss and told apart."""
FORGIVEN_WHEN_PARTIAL = ("lost",)
"""What was under way when the run was broken off has no record yet; that proves no loss."""


@dataclass(frozen=True, slots=True)
class Verdict:
    word: Word
    sentence: str


def verdict_of(run: Run) -> Verdict:
    """PASSED: whole, checked, nothing broken, every limit kept. FAILED: something is proved
    broken, or was not proved whole. PARTIAL: broken off before either was proved."""
    broken = broken_counts(run)
    # The promises that the checker judges are limits too; its counts are told once.
    not_kept = [x for x in run.limits if not x.is_kept and not is_promise(x)]
    reasons = [_broken_words(broken)] if broken else []
    unchecked = not is_checked(run)
    if run.partial:
        proved = {name for name in broken if name not in FORGIVEN_WHEN_PARTIAL}
        reasons.insert(0, f"the run is not whole: {run.partial.rstrip('. ')}")
        if unchecked:
            reasons.append("the checker did not judge it")
        reasons += [_limits_words(not_kept)] if not_kept else []
        return Verdict("FAILED" if proved else "PARTIAL", _sentence(reasons))
    if unchecked:
        reasons.append("the checker judged nothing, so nothing is proved")
    elif not run.checker.get("valid") and not broken:
        reasons.append("the checker calls the run not valid")
    if not_kept:
        reasons.append(_limits_words(not_kept))
    if reasons:
        return Verdict("FAILED", _sentence(reasons))
    return Verdict("PASSED", _passed(run))


def count(checker: Mapping[str, Any], name: str) -> int | None:
    """A count of the checker's; None if it did not say."""
    value = checker.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def is_checked(run: Run) -> bool:
    return bool(count(run.checker, "checked"))


def broken_counts(run: Run) -> dict[str, int]:
    """The counts that should be 0 and are not."""
    counts = {name: count(run.checker, name) or 0 for name in BROKEN}
    return {name: value for name, value in counts.items() if value > 0}


def is_promise(limit: Limit) -> bool:
    """A limit that holds in every scenario, by the checker's counts."""
    return limit.figure in (*BROKEN, "checked")


def counts_line(run: Run) -> str:
    """`0 lost · 0 duplicated · 0 wrong`, and what else is not 0."""
    if not run.checker:
        return "not checked"
    others = (*BROKEN[len(HEADLINE) :], "vanished")
    names = [*HEADLINE, *(name for name in others if _is_some(run, name))]
    return " · ".join(f"{_known(count(run.checker, name))} {said(name)}" for name in names)


def said(name: str) -> str:
    return name.replace("_", " ")


def limit_words(limit: Limit) -> str:
    """`accepted_p99_s is 412 ms, at most 250 ms was wanted`."""
    value = words.figure(limit.figure, limit.value)
    return f"{limit.figure} is {value}, wanted {limit.relation} {_bound(limit)}"


def _bound(limit: Limit) -> str:
    return words.figure(limit.figure, limit.bound)


def _is_some(run: Run, name: str) -> bool:
    return bool(count(run.checker, name))


def _known(value: int | None) -> str:
    return "?" if value is None else f"{value:,}"


def _broken_words(broken: Mapping[str, int]) -> str:
    return "the checker found " + ", ".join(f"{n:,} {said(name)}" for name, n in broken.items())


def _limits_words(not_kept: list[Limit]) -> str:
    named = "; ".join(limit_words(limit) for limit in not_kept[:3])
    rest = f"; and {len(not_kept) - 3} more" if len(not_kept) > 3 else ""
    return f"{words.plural(len(not_kept), 'limit')} not kept ({named}{rest})"


def _passed(run: Run) -> str:
    checked = count(run.checker, "checked")
    measured = len({(job.key, job.version_id) for job in run.jobs if job.is_calibration})
    apart = f" ({measured:,} of them to measure the pool before)" if measured else ""
    first = (
        f"{words.plural(checked or 0, 'upload')}{apart} checked by the buckets' own listings:"
        " nothing lost, nothing twice, nothing wrong"
    )
    if not run.limits:
        return f"{first}. No limits were set."
    kept = len(run.limits)
    return f"{first}; {f'all {kept} limits' if kept > 1 else 'the one limit'} kept."


def _sentence(reasons: list[str]) -> str:
    text = "; ".join(reasons)
    return f"{text[:1].upper()}{text[1:]}."
