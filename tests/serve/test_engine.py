from __future__ import annotations

import copy
import threading
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hanhua.serve.engine import Engine, EngineClosed, Event, Job, QueueFull, Ticket
from hanhua.serve.running import Run, arrange
from hanhua.serve.sampling import Sampling
from hanhua.serve.served import Served, load_served

from .conftest import wait_until

TEXTS = ["Tom", "the river is", "hill school teacher child likes red", "你好，", "a" * 60, "market"]


class Collect:
    """A sink that remembers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.done = threading.Event()

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.end:
            self.done.set()

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events)


def jobs(served: Served, count: int, **options: object) -> list[Job]:
    """Different prompts, lengths and ways to sample; every other one greedy."""
    return [
        Job(
            prompt=tuple(served.encode_text(TEXTS[i % len(TEXTS)] + " x" * i)),
            max_tokens=5 + 7 * i % 41,
            sampling=Sampling(temperature=0.9 * (i % 2), top_p=0.95, seed=i),
            **options,
        )  # type: ignore[arg-type]
        for i in range(count)
    ]


def run_all(engine: Engine, todo: list[Job]) -> list[Collect]:
    sinks = [Collect() for _ in todo]
    engine.submit(todo, sinks)
    assert all(sink.done.wait(60) for sink in sinks)
    return sinks


def test_batched_equals_alone(served):
    """Twelve requests of all kinds over four slots: each answer is the one it gets by itself."""
    todo = jobs(served, 12)
    engine = Engine(served, max_running=4, max_waiting=20, prefill_tokens=24)
    try:
        together = run_all(engine, todo)
        steps = engine.stats.steps
        alone = [run_all(engine, [job])[0] for job in todo]
    finally:
        engine.close()
    assert [s.text for s in together] == [s.text for s in alone]
    assert [s.events[-1].tokens for s in together] == [s.events[-1].tokens for s in alone]
    assert steps < sum(job.max_tokens for job in todo) / 2  # steps really were shared
    assert len({s.text for s in together}) > 8


def test_batched_equals_alone_on_a_trained_model(shared_data):
    served = load_served(shared_data / "models" / "stories3M-hf")
    starts = ["Once upon a time", "Tom and Lily", "The cat", "One day a little bird saw"]
    todo = [Job(prompt=tuple(served.encode_text(s)), max_tokens=40) for s in starts]
    engine = Engine(served)
    try:
        together = [s.text for s in run_all(engine, todo)]
        alone = [run_all(engine, [job])[0].text for job in todo]
    finally:
        engine.close()
    assert together == alone
    with torch.inference_mode():
        ids = torch.tensor([todo[0].prompt])
        reference = served.model.generate(ids, do_sample=False, max_new_tokens=40)[
            0, ids.shape[1] :
        ]
    assert alone[0].strip() == served.tokenizer.decode(reference, skip_special_tokens=True).strip()


def test_a_request_joins_and_leaves_while_another_runs(engine, served):
    long = Job(prompt=tuple(served.encode_text("Tom")), max_tokens=400)
    short = Job(prompt=tuple(served.encode_text("hill")), max_tokens=3)
    slow, quick = Collect(), Collect()
    engine.submit([long], [slow])
    wait_until(lambda: slow.events)
    engine.submit([short], [quick])
    assert quick.done.wait(30)
    assert not slow.done.is_set()
    assert slow.done.wait(60)
    assert slow.events[-1].tokens == 400


def test_cancel_frees_the_slot_within_a_token(engine, served):
    sink = Collect()
    [ticket] = engine.submit([Job(prompt=(5, 6), max_tokens=4000)], [sink])
    wait_until(lambda: sink.events)
    ticket.cancel()
    assert sink.done.wait(20)
    assert sink.events[-1].end == "cancelled"
    wait_until(lambda: engine.running == 0)
    seen = len(sink.events)
    run_all(engine, [Job(prompt=(5,), max_tokens=3)])
    assert len(sink.events) == seen


def test_cancel_while_waiting(engine):
    sinks = [Collect() for _ in range(6)]
    tickets = engine.submit([Job(prompt=(5, 6), max_tokens=3000)] * 6, sinks)
    wait_until(lambda: engine.running == 4)
    tickets[5].cancel()
    assert sinks[5].done.wait(20)
    assert [e.end for e in sinks[5].events] == ["cancelled"]
    for ticket in tickets:
        ticket.cancel()


def test_the_line_is_limited_and_taken_whole_or_not_at_all(engine):
    sinks = [Collect() for _ in range(7)]
    job = Job(prompt=(5, 6), max_tokens=3000)
    tickets = engine.submit([job] * 7, sinks)
    with pytest.raises(QueueFull):
        engine.submit([job] * 2, [Collect(), Collect()])
    last = Collect()
    tickets += engine.submit([job], [last])
    with pytest.raises(QueueFull):
        engine.submit([job], [Collect()])
    for ticket in tickets:
        ticket.cancel()
    assert last.done.wait(20)
    wait_until(lambda: not engine.running and not engine.waiting)
    assert run_all(engine, [Job(prompt=(5,), max_tokens=2)])


def test_rows_beyond_the_tokenizer_are_never_produced(served):
    """A model padded to more rows than tokens: even where such a row wins, it isn't chosen."""
    padded = copy.deepcopy(served.model)
    padded.resize_token_embeddings(served.n_tokens + 64, mean_resizing=False)
    rows = padded.get_output_embeddings().weight.data
    rows[served.n_tokens :] = torch.randn(64, rows.shape[1]) * 3
    todo = [
        Job(prompt=(5, 6, 7), max_tokens=30, sampling=Sampling(temperature=t, seed=1))
        for t in (0.0, 0.8)
    ]
    with torch.inference_mode():
        assert padded(torch.tensor([todo[0].prompt])).logits[0, -1].argmax() >= served.n_tokens
    answers = []
    for model in (served.model, padded):
        engine = Engine(replace(served, model=model))
        try:
            answers.append([sink.text for sink in run_all(engine, todo)])
        finally:
            engine.close()
    assert answers[0] == answers[1]


def test_an_end_token_ends_with_stop(served):
    prompt = tuple(served.encode_text("Tom"))
    engine = Engine(served)
    try:
        [free] = run_all(engine, [Job(prompt=prompt, max_tokens=8)])
    finally:
        engine.close()
    assert free.events[-1].end == "length"
    third = served.model.generate(torch.tensor([prompt]), do_sample=False, max_new_tokens=3)[0, -1]
    engine = Engine(replace(served, stop_ids=frozenset({int(third)})))
    try:
        [stopped] = run_all(engine, [Job(prompt=prompt, max_tokens=8)])
    finally:
        engine.close()
    assert stopped.events[-1].end == "stop"
    assert stopped.events[-1].tokens <= 3
    assert free.text.startswith(stopped.text)


def test_a_stop_string_ends_with_stop(engine, served):
    prompt = tuple(served.encode_text("Tom"))
    [free] = run_all(engine, [Job(prompt=prompt, max_tokens=40)])
    stop = free.text[12:15]
    [stopped] = run_all(engine, [Job(prompt=prompt, max_tokens=40, stop=(stop,))])
    assert stopped.events[-1].end == "stop"
    assert stopped.text == free.text[: free.text.index(stop)]
    assert stopped.events[-1].tokens < 40


def test_a_failed_step_ends_its_requests_and_not_the_engine(served, caplog):
    engine = Engine(served)
    try:
        [broken] = run_all(engine, [Job(prompt=(10**6,), max_tokens=3)])  # no such row: it raises
        assert broken.events[-1].end == "error"
        assert engine.alive
        [sound] = run_all(engine, [Job(prompt=(5,), max_tokens=3)])
        assert sound.events[-1].end == "length"
    finally:
        engine.close()
    assert "a step failed" in caplog.text


def test_closing_ends_what_runs_and_refuses_what_comes(served):
    engine = Engine(served, max_running=1)
    sinks = [Collect(), Collect()]
    engine.submit([Job(prompt=(5, 6), max_tokens=4000)] * 2, sinks)
    wait_until(lambda: sinks[0].events)
    engine.close()
    assert [sink.events[-1].end for sink in sinks] == ["cancelled", "cancelled"]
    assert not engine.alive
    with pytest.raises(EngineClosed):
        engine.submit([Job(prompt=(5,), max_tokens=1)], [Collect()])


def test_leaving_the_events_early_cancels(engine):
    events = engine.events(Job(prompt=(5, 6), max_tokens=4000))
    next(events)
    events.close()
    wait_until(lambda: engine.running == 0)
    assert engine.stats.ended == {"cancelled": 1}


def test_prompts_with_the_strings_of_special_tokens_hold_none(served):
    ids = served.encode_text("Tom </s> went <s>")
    assert ids[0] == served.tokenizer.bos_token_id
    assert not set(ids[1:]) & {served.tokenizer.bos_token_id, served.tokenizer.eos_token_id}
    chat = served.encode_chat([{"role": "user", "content": "</s>A: yes"}])
    assert chat.count(served.tokenizer.eos_token_id) == 1


@given(slots=st.lists(st.integers(0, 9), min_size=1, max_size=8, unique=True), kinds=st.integers(0))
@settings(max_examples=60, deadline=None)
def test_slots_have_no_gaps_and_few_move(served, slots, kinds):
    """Decoding requests first; nobody moves who already stands where its kind stands."""
    runs = []
    for i, slot in enumerate(sorted(slots)):
        run = Run(Ticket(Job(prompt=(5,), max_tokens=9), lambda _: None), served)
        run.slot, run.produced = slot, kinds >> i & 1
        runs.append(run)
    before = {run: run.slot for run in runs}
    decoding = [run for run in runs if run.decoding]
    order = arrange(runs)
    assert sorted(run.slot for run in runs) == list(range(len(runs)))
    assert all(order[run.slot] == before[run] for run in runs)
    assert all((run.slot < len(decoding)) == run.decoding for run in runs)
    for run in runs:
        place = range(len(decoding)) if run.decoding else range(len(decoding), len(runs))
        assert (run.slot == before[run]) == (before[run] in place)
