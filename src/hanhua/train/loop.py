"""The one training loop: rows in, weights out, for every model, objective and phase.

A step reads its rows, adds up the gradients of its micro-batches, and moves the weights once.
Everything that decides the next step (weights, optimiser, place in the data) is in a checkpoint,
and random numbers are a function of the step; the log holds nothing that depends on the clock.
So a run that was killed and started again is the run that was not. With many processes each
takes its part of a step's rows, and all of them take every decision alike.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from hanhua.core.config import Machine
from hanhua.core.gpu_memory import grow_segments
from hanhua.core.progress import Progress
from hanhua.tokens.loader import Batch, LoaderState, read_batch
from hanhua.tokens.rows import PackedRows
from hanhua.train import gate, guard, parallel
from hanhua.train.answers import AnswerWatch, HeldOutAnswers, open_answers
from hanhua.train.balance import coefficient_of
from hanhua.train.checkpoint import kept_precision
from hanhua.train.config import OptimConfig
from hanhua.train.keep import ANCHOR, GOOD, Keeper, State, run_identity
from hanhua.train.log import NoLog, TrainLog, answer_facts, mean_tail, read_learnt
from hanhua.train.memory import keep_freed_memory
from hanhua.train.objective import check_head, check_rows
from hanhua.train.optim import Masters
from hanhua.train.parallel import device_of
from hanhua.train.precision import Precision, choose_precision
from hanhua.train.schedule import Phase, Plan, learning_rate, make_plan, phase_at
from hanhua.train.setup import in_background, open_log, set_up
from hanhua.train.shard import Root, let_go
from hanhua.train.steer import Steering, open_steering
from hanhua.train.steer_state import SteerState
from hanhua.train.step import NextToken, Objective, learn, seed_step
from hanhua.train.watch import HeldOut, Watch, open_watch, watch_section


@dataclass(frozen=True, slots=True)
class TrainResult:
    """What came out.

    Args:
        weights: of what was trained (everything, but for LoRA) by parameter name: the fp32
            masters. Where processes share the model: all of them on the first's CPU, none on the
            others.
        log: the file with one JSON line a step.
        steps: of the plan, up to the model that came out.
        tokens: that it learnt from, padding not counted.
        loss: the mean loss of the last tenth of the steps.
        precision: of the arithmetic.
        skipped: ``[first, last]`` steps that taught it nothing.
        facts: of guard, watch and gate; empty where there is nothing to say.
    """

    weights: dict[str, torch.Tensor]
    log: Path
    steps: int
    tokens: int
    loss: float | None
    precision: Precision
    skipped: list[list[int]] = field(default_factory=list)
    facts: Mapping[str, Any] = field(default_factory=dict)


def train(
    model: Any, rows: PackedRows, config: OptimConfig, *, work: Path, seed: int, machine: Machine,
    progress: Progress, old_rows: int | None = None, title: str = "training",
    held_out: HeldOut | None = None, source: Path | None = None,
    languages: tuple[str, str] | None = None, objective: Objective | None = None,
    answers: HeldOutAnswers | None = None, spare: PackedRows | None = None,
) -> TrainResult:  # fmt: skip
    """Train a model on packed rows, going on from the newest checkpoint if there is one.

    Args:
        model: a causal LM; its parameters are cast to the section's precision.
        rows: what to train on.
        config: the section.
        work: folder for checkpoints and the log; survives a kill; one for all processes.
        seed: of the data's order and of any randomness in the model.
        machine: threads, micro-batch, how often to checkpoint; changes no result but for the
            order of fp32 additions.
        progress: where to show tokens, rate, loss and learning rate.
        old_rows: embedding rows the base had, needed for a phase ``new_rows``.
        title: of the bar.
        held_out: text to watch, where the section asks for that.
        source: the folder that the model came from, where many processes share it.
        languages: target and source, where the mixture is steered.
        objective: what is made smaller; None: the next token's cross-entropy.
        answers: held-out conversations to measure, where the section asks for that.
        spare: rows beyond their shares, where the mixture is steered.

    Raises:
        TrainingError: when training runs away and the guard gives up (with a checkpoint from
            before), or a checkpoint doesn't fit.
        RecipeError: when there is no held-out text to watch, or nothing to steer.
        DependencyError: when a tracker is not installed.
        ModelError: when the model can't be trained on packed documents.
    """
    torch.set_num_threads(machine.threads or max((os.cpu_count() or 1) // parallel.size(), 1))
    keep_freed_memory()
    grow_segments()
    work.mkdir(parents=True, exist_ok=True)
    check_head(model)
    check_rows(model, rows)
    coefficient_of(model, config.router_aux_loss_coef)
    precision = choose_precision(config.precision, device_of(machine), kept_precision(work))
    root = set_up(model, config, precision, machine, seed, source)
    plan = make_plan(config, len(rows), rows.seq_len_tokens)
    steering = open_steering(config, rows, spare, plan, seed, languages)
    identity = run_identity(config, rows, seed)
    config = config.model_copy(update={"precision": precision})
    masters = Masters(model, config, old_rows)
    objective = objective or NextToken(getattr(config, "neftune_alpha", 0.0))
    rows = objective.prepare(root, rows, _micro(machine))
    watch = open_watch(root, config, held_out)
    keeper = Keeper(work, masters, identity, background=in_background(machine))
    state = keeper.resume()
    if state.step:
        progress.say(f"  {title}: going on behind step {state.step} of {plan.steps}")
    with ExitStack() as stack:
        log = open_log(
            stack, root, config, plan, rows, state, work, machine, progress, title, identity,
            precision,
        )  # fmt: skip
        run = _Run(
            root, masters, rows, config, plan, keeper, log, watch, steering, machine, seed,
            objective, open_answers(root, config, answers, _micro(machine)),
        )  # fmt: skip
        state = run.to_the_end(state)
        saved = run.measure_average()
    keeper.finish()
    lines = read_learnt(log.text(), state.step, state.guard.skipped)
    facts = guard.facts(state.guard) | gate.facts(config.stop, state.gate) | masters.facts()
    facts |= answer_facts(lines)
    for name, end in ((name, end) for name, end in saved.items() if name in facts):
        facts[name] |= {"end": end, "last_step": facts[name]["end"]}
    if steering:
        facts |= steering.facts(state.steer, state.gate.start, facts["held_out"]["end"])
    return TrainResult(
        masters.whole(), log.path, state.step, state.tokens, mean_tail(lines), precision,
        state.guard.skipped, facts,
    )  # fmt: skip


def _micro(machine: Machine) -> int:
    return machine.micro_tokens(device_of(machine) != "cpu")


@dataclass(frozen=True, slots=True)
class _Run:
    """The loop with everything that it touches."""

    root: Root
    masters: Masters
    rows: PackedRows
    config: OptimConfig
    plan: Plan
    keeper: Keeper
    log: TrainLog | NoLog
    watch: Watch | None
    steering: Steering | None
    machine: Machine
    seed: int
    objective: Objective
    answers: AnswerWatch | None

    def to_the_end(self, state: State) -> State:
        """Steps until the plan or the gate ends it; the state of the model that goes on."""
        if self.watch and not state.gate.start:
            start = self.watch.measure()
            state = replace(state, gate=gate.GateState(start=start, last=start))
            if self.config.stop:
                self.keeper.save(state, GOOD)
        if self.steering and not state.steer.shares:
            state = replace(state, steer=self.steering.begin())
        if self.answers and not state.step:
            self.answers.begin()
        phase = None
        while state.step < self.plan.steps and state.gate.stopped_at is None:
            now = phase_at(self.plan.phases, state.step)
            if now is not phase:
                phase = now
                self.masters.begin(phase.config)
                let_go(self.root)
            state = self._step(state, phase)
        if state.gate.stopped_at is None:
            return state
        return replace(self.keeper.go_back(GOOD), gate=state.gate)

    def measure_average(self) -> dict[str, Any]:
        """What the mean that is saved measures, by the record's names; empty without one."""
        average = self.masters.average
        if average is None or not average.count:
            return {}
        watched = {"held_out": self.watch, "answers": self.answers}
        with self.masters.averaged():
            let_go(self.root)
            found = {name: watch.measure() for name, watch in watched.items() if watch}
        let_go(self.root)
        return found

    def _step(self, state: State, phase: Phase) -> State:
        """One place of the plan: read, learn (or refuse to), measure, log, keep."""
        lr = learning_rate(self.config, phase, state.step)
        batch, data, steer = self._read(state)
        seed_step(self.seed, state.step)
        line, fault = learn(
            self.root, self.masters, batch, self.rows.languages, lr, _micro(self.machine),
            partial(guard.find_fault, self.config.guard, state.guard), self.objective,
        )  # fmt: skip
        if fault is None:
            self.masters.take_average(state.step + 1, self.plan.steps)
            learnt = guard.learnt(self.config.guard, state.guard, line["loss"], line["losses"])
            tokens = state.tokens + batch.n_tokens
            new = State(state.step + 1, tokens, data, learnt, state.gate, steer)
        else:
            passed = replace(state.steer, mixed=steer.mixed)
            new, line = self._refuse(state, replace(state, data=data, steer=passed), line, fault)
            if "went_back_to_step" in line:  # its momentum may be of another phase
                self.masters.begin(phase.config)
        line |= {"step": new.step, "tokens": new.tokens}
        if self.answers:
            line |= self.answers.told(new.step, self.plan.steps)
        good = self._measure(new, line)
        self.log.write(line, batch.n_tokens)
        self._keep(new, phase, good, back="went_back_to_step" in line)
        self.keeper.poll()
        return new

    def _read(self, state: State) -> tuple[Batch, LoaderState, SteerState]:
        """A step's rows, and where reading then stands."""
        if self.steering:
            batch, steer = self.steering.batch(state.steer, state.step)
            return batch, state.data, steer
        n_rows = self.plan.rows_in(state.step)
        return *read_batch(self.rows, state.data, n_rows, self.seed), state.steer

    def _refuse(
        self, state: State, new: State, line: dict[str, Any], fault: str
    ) -> tuple[State, dict[str, Any]]:
        """Pass over a step; go back to the kept one, or give up, when there were too many."""
        section, step = self.config.guard, state.step + 1
        why = guard.stop_reason(section, state.guard, self.keeper.holds(ANCHOR))
        if why or section is None:
            self.log.sync()
            kept = self.keeper.save(state)
            self.keeper.finish()
            raise guard.runaway(str(why), step, line, kept)
        noted = guard.refused(state.guard, step)
        new = replace(new, step=step, guard=noted)
        read = asdict(state.steer.mixed if self.steering else state.data)
        line = guard.skipped_line(line, fault, read, self.plan.rows_in(state.step))
        if noted.in_a_row >= section.max_in_a_row:
            anchor = self.keeper.go_back(ANCHOR)
            back = guard.gone_back(noted, anchor.guard, anchor.step, step)
            steer = replace(anchor.steer, mixed=new.steer.mixed, shares=new.steer.shares)
            new = replace(new, tokens=anchor.tokens, guard=back, steer=steer)
            line["went_back_to_step"] = anchor.step
        return new, line

    def _measure(self, state: State, line: dict[str, Any]) -> bool:
        """Held-out text into the line, where it is time; whether the model is within the gate."""
        if state.step == 1 and state.gate.start:
            line["held_out_start"] = state.gate.start
        section = watch_section(self.config)
        if self.watch is None or not gate.measures(section, state.step, self.plan.steps):
            return False
        line["held_out"] = self.watch.measure()
        state.gate = gate.see(self.config.stop, state.gate, state.step, line["held_out"])
        if self.steering:
            state.steer = self.steering.see(
                state.steer, state.step, state.gate.start, line["held_out"]
            )
            line["steer"] = state.steer.told()
        if state.gate.stopped_at:
            line["stopped"] = gate.facts(self.config.stop, state.gate)["stopped"]
        return self.config.stop is not None and state.gate.good_step == state.step

    def _keep(self, state: State, phase: Phase, good: bool, back: bool) -> None:
        """A checkpoint, where it is time for one."""
        names = [GOOD] if good else []
        # never a step amid refused ones (its weights are the suspects), nor one that went back
        # (a run killed before its checkpoint would go back to itself)
        sound = not (back or state.guard.in_a_row)
        if sound and guard.keeps(self.config.guard, state.step, self.plan.steps):
            names.append(ANCHOR)
        # a way back must be in a checkpoint before a newer step may be held
        due = back or state.gate.stopped_at is not None or state.step == phase.stop
        if names or due or self.keeper.late(self.machine.checkpoint_minutes):
            self.log.sync()
            self.keeper.save(state, *names)
