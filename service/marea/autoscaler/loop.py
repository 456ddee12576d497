"""Read, decide, apply one step, record; again each `interval_s`.

One process at a time acts, by a lease. Every way in which a tick can fail leaves the replicas as
they are: the next tick reads everything anew and needs nothing of this one but what it decided.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import asdict, replace

import structlog

from marea.autoscaler.signal import PoolReading, SignalReader
from marea.clock import Clock
from marea.errors import TransientError
from marea.kube.fleets import Fleets, FleetView
from marea.results.decisions import Decisions, history_of, write_decisions
from marea.results.ledger import Ledger
from marea.scaling.backlog import PoolTarget, Unreadable
from marea.scaling.budget import within_budget
from marea.scaling.decision import Decision
from marea.scaling.policy import desired_replicas
from marea.scaling.step import Step, next_step
from marea.settings_scaling import AutoscalerSettings
from marea.telemetry.liveness import SignsOfLife

log = structlog.get_logger("marea.autoscaler")


class Autoscaler:
    """Sizes the pools of `targets`, where `settings.mode` is builtin; else only decides."""

    def __init__(
        self,
        *,
        fleets: Fleets,
        signal: SignalReader,
        ledger: Ledger,
        clock: Clock,
        settings: AutoscalerSettings,
        targets: Mapping[str, PoolTarget],
        life: SignsOfLife,
    ) -> None:
        self._fleets, self._signal, self._ledger, self._clock = fleets, signal, ledger, clock
        self._settings, self._targets, self._life = settings, targets, life
        self._previous: dict[str, Decision] = {}
        self._noted: dict[str, tuple[int | None, str, int | None]] = {}
        """What the latest entry of a pool's history says."""
        self._trouble = ""
        """What has been told as the reason why pools are held."""
        self._failed = ""
        """Why a step of this tick could not be taken."""
        self._leads: bool | None = None

    def run(self, stop: threading.Event) -> None:
        """Tick until told to stop."""
        try:
            while not stop.is_set():
                self.tick()
                stop.wait(self._settings.interval_s)
        finally:
            self._signal.close()

    def tick(self) -> Mapping[str, Decision]:
        """One round; the decisions as they were applied, {} if another process leads."""
        self._life.touch()
        self._failed = ""
        try:
            leads = self._fleets.is_leader()
            if leads is not self._leads:
                self._leads = leads
                log.info("leads" if leads else "follows: another replica leads")
            if not leads:
                self._previous = {}
                return {}
            decisions = self._decide_and_apply()
            self._record(decisions)
        except TransientError as exc:
            self._note_trouble(str(exc))
            return {}
        held = [each.reason for each in decisions.values() if each.is_hold]
        self._note_trouble(self._failed or next(iter(held), ""))
        return decisions

    def _decide_and_apply(self) -> dict[str, Decision]:
        readings = self._read()
        now = self._clock.now()
        decisions = [
            desired_replicas(target, readings[pool].reading, now, self._previous.get(pool))
            for pool, target in self._targets.items()
        ]
        if self._settings.budget is not None:
            decisions = within_budget(self._settings.budget, self._targets, decisions)
        applied = {each.pool: self._apply(each, readings[each.pool]) for each in decisions}
        for pool, read in readings.items():
            self._replace_silent(pool, read.view)
        return applied

    def _read(self) -> Mapping[str, PoolReading]:
        try:
            views = self._fleets.views(tuple(self._targets))
        except TransientError as exc:
            now = self._clock.now()
            return {pool: PoolReading(Unreadable(pool, now, str(exc))) for pool in self._targets}
        return self._signal.read(views)

    def _apply(self, decision: Decision, read: PoolReading) -> Decision:
        """Take one step towards it; what became of it is in `applied`."""
        view = read.view
        if view is None:
            return decision
        if self._settings.mode != "builtin":
            return replace(decision, applied=view.wanted)
        now = self._clock.now()
        step = next_step(decision, read.replicas, wanted=view.wanted, rolling=view.rolling, now=now)
        try:
            self._carry_out(decision, step, read, now)
        except TransientError as exc:
            self._failed = str(exc)
            return replace(decision, applied=view.wanted)
        applied = view.wanted if step.scale_to is None else step.scale_to
        if step.scale_to is not None:
            self._announce(decision, view.wanted, step.scale_to)
        return replace(decision, applied=applied)

    def _carry_out(self, decision: Decision, step: Step, read: PoolReading, now: float) -> None:
        if step.is_nothing:
            return
        leases = dict.fromkeys(step.lift, 0.0) | dict.fromkeys(step.drain, step.drain_until)
        if leases:
            self._signal.lease(decision.pool, leases, read.workers)
        if step.costs:
            self._fleets.write_costs(step.costs)
        if step.scale_to is not None:
            self._fleets.scale(decision.pool, step.scale_to, step.remove)
        log.info(
            "step",
            pool=decision.pool,
            limiter=decision.limiter,
            **{
                name: value
                for name, value in asdict(step).items()
                if value or (name == "scale_to" and value is not None)
            },
            took_s=round(self._clock.now() - now, 3),
        )

    def _replace_silent(self, pool: str, view: FleetView | None) -> None:
        """End a replica that says nothing any more, whoever sizes the pool."""
        replica = "" if view is None else self._signal.silent(pool, view)
        if not replica:
            return
        sentence = f"Replaced {replica}: its worker sends no heartbeat and does not answer"
        try:
            self._fleets.replace(pool, replica)
            log.warning("replaced", pool=pool, replica=replica, reason="silent")
            self._fleets.announce(pool, sentence)
        except TransientError as exc:
            self._failed = str(exc)

    def _announce(self, decision: Decision, before: int, after: int) -> None:
        why = decision.reason.removeprefix(f"{decision.replicas}: ")
        sentence = f"Scaled from {before} to {after}: {why}"
        try:
            self._fleets.announce(decision.pool, sentence)
        except TransientError as exc:  # what was done is done, and stands in the ledger
            log.warning("not announced", pool=decision.pool, reason=str(exc))

    def _record(self, decisions: Mapping[str, Decision]) -> None:
        """The last of each pool; in its history those that differ from the one before."""
        for pool, decision in decisions.items():
            gist = (decision.replicas, decision.limiter, decision.applied)
            if self._noted.get(pool) != gist:
                self._ledger.note(history_of(pool), decision.as_json(), keep=self._settings.history)
            self._noted[pool] = gist
            # Where another scaler acts, its steps are no changes by hand.
            is_ours = self._settings.mode == "builtin"
            self._previous[pool] = decision if is_ours else replace(decision, applied=None)
        write_decisions(self._ledger, Decisions(self._clock.now(), self._settings.mode, decisions))

    def _note_trouble(self, trouble: str) -> None:
        """Log a trouble when it begins and when it is over, not with each tick."""
        if trouble and trouble != self._trouble:
            log.error("pools are held", reason=trouble)
        elif self._trouble and not trouble:
            log.info("pools are sized again")
        self._trouble = trouble
