"""Several models in one server, and what a text is in tokens before and after expansion."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from hanhua.core.errors import HanhuaError, ModelError, UsageError
from hanhua.model.load import load_tokenizer
from hanhua.serve.beside import Place, base_tokenizers, find_places, load_all
from hanhua.serve.keys import Key

from .conftest import read_events, running_several, wait_until
from .test_api import CHAT, TEXT, check_error
from .test_conformance import QUICK, anything

gguf = pytest.importorskip("gguf", reason='needs the extra: pip install "hanhua[gguf]"')
TOKENIZE = "/tokenize"
HAN = "小明每天早上在河边看书"


@pytest.fixture(scope="module")
def several(small_run: Path) -> Iterator[httpx.Client]:
    with (
        running_several(small_run, "base", "quantise") as (url, _),
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def chat(client: httpx.Client, text: str, **options: object) -> dict:
    body = {"messages": [{"role": "user", "content": text}], "temperature": 0, "max_tokens": 12}
    return client.post(CHAT, json={**body, **options}).json()


def test_every_model_answers_under_its_name(several):
    listed = several.get("/v1/models").json()["data"]
    assert [m["id"] for m in listed] == ["small", "small-base", "small-q8_0"]
    assert [m["chats"] for m in listed] == [True, False, True]
    assert [m["base_tokenizer"] for m in listed] == [True, False, True]
    for facts in listed:
        assert several.get(f"/v1/models/{facts['id']}").json() == facts
    whole = chat(several, "Tom", model="small")
    assert whole["model"] == "small"
    assert chat(several, "Tom")["choices"] == whole["choices"]  # none named: the main one
    assert chat(several, "Tom", model="small-q8_0")["model"] == "small-q8_0"
    texts = {
        m["id"]: several.post(TEXT, json={"model": m["id"], "prompt": "Tom", "temperature": 0})
        .json()["choices"][0]["text"] for m in listed
    }  # fmt: skip
    assert texts["small"] != texts["small-base"]
    refused = check_error(several.post(CHAT, json={"model": "small-base", "messages": [
        {"role": "user", "content": "Tom"}]}))  # fmt: skip
    assert refused["code"] == "model_has_no_chat_template"


def test_an_unknown_model_is_told_which_there_are(several):
    for path, body in ((CHAT, {"messages": [{"role": "user", "content": "x"}]}),
                       (TEXT, {"prompt": "x"}), (TOKENIZE, {"prompt": "x"}),
                       ("/v1/embeddings", {"input": "x"})):  # fmt: skip
        response = several.post(path, json={"model": "gpt-9", **body})
        assert response.status_code == 404
        error = check_error(response)
        assert error["code"] == "model_not_found"
        assert all(name in error["message"] for name in ("'small'", "'small-base'", "'small-q8_0'"))
    assert several.get("/v1/models/gpt-9").status_code == 404


def test_models_answer_at_the_same_time_as_they_do_alone(several):
    """Streams of all models side by side give each the text that it gives alone."""
    names = ["small", "small-base", "small-q8_0"]
    body = {"prompt": "Tom", "temperature": 0, "max_tokens": 40}
    alone = {
        name: several.post(TEXT, json={**body, "model": name}).json()["choices"][0]["text"]
        for name in names
    }
    together: dict[str, str] = {}

    def stream(name: str) -> None:
        text = several.post(TEXT, json={**body, "model": name, "stream": True}).text
        together[name] = "".join(c["text"] for e in read_events(text) for c in e["choices"])

    threads = [threading.Thread(target=stream, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone
    assert len(set(alone.values())) > 1


def test_the_quantised_model_is_the_file_as_it_was_read(small_run):
    """8 bits: near the weights it was made from, and not the same."""
    whole, small = load_all(find_places(small_run, ["quantise"]))
    weights, packed = whole.model.state_dict(), small.model.state_dict()
    assert weights.keys() == packed.keys()
    for name, ours in weights.items():
        assert torch.allclose(ours, packed[name], atol=0.02 * float(ours.abs().max()))
    assert any(not torch.equal(ours, packed[name]) for name, ours in weights.items())
    assert small.encode_text(HAN) == whole.encode_text(HAN)


def test_metrics_tell_the_models_apart(several, client):
    chat(several, "Tom")
    for name in ("small", "small-base", "small-q8_0"):
        wait_until(
            lambda name=name: f'hanhua_running{{model="{name}"}} 0' in several.get("/metrics").text
        )
    lines = several.get("/metrics").text.splitlines()
    for name in ("small", "small-base", "small-q8_0"):
        assert any(x.startswith(f'hanhua_steps_total{{model="{name}"}}') for x in lines)
    assert any(x.startswith('hanhua_answers_total{model="small",end="length"}') for x in lines)
    heads = [x for x in lines if x.startswith("# TYPE")]
    assert len(heads) == len(set(heads))
    alone = client.get("/metrics").text
    assert "hanhua_running 0" in alone.splitlines()  # one model: no label
    assert [x for x in alone.splitlines() if x.startswith("# TYPE")] == heads


def test_ready_only_while_all_are_alive(small_run):
    with running_several(small_run, "base") as (url, models):
        assert httpx.get(url + "/ready").status_code == 200
        models.engines[1].close()
        assert httpx.get(url + "/ready").status_code == 503
        assert models.main.alive


# What may stand after --beside


def names(places: list[Place]) -> list[str]:
    return [place.name for place in places]


def test_stages_paths_and_names(small_run, chat_folder, tmp_path, monkeypatch):
    assert names(find_places(small_run)) == ["small"]
    assert find_places(small_run)[0].base == small_run / "base-01" / "model"
    [main, base, other, eight] = find_places(
        small_run, ["base", str(chat_folder), "quantise/q8_0"]
    )  # fmt: skip
    assert names([main, base, other, eight]) == ["small", "small-base", "tiny-chat", "small-q8_0"]
    assert main.folder == eight.folder == small_run / "finetune-01" / "model"
    assert (base.base, other.base, eight.base) == (None, None, main.base)
    by_path = find_places(main.folder, [str(small_run / "base-01"), str(eight.file)])
    assert names(by_path) == ["small", "small-base", "model-q8_0"]
    monkeypatch.chdir(small_run.parent)
    (tmp_path / "runs").mkdir()
    twin = tmp_path / "tiny-chat"
    shutil.copytree(chat_folder, twin)
    assert names(find_places(small_run, [str(chat_folder), str(twin)]))[1:] == [
        "tiny-chat", "tiny-chat-2",
    ]  # fmt: skip


def refused(kind: type[HanhuaError], model: Path, *beside: str) -> str:
    with pytest.raises(kind) as caught:
        find_places(model, beside)
    return str(caught.value)


def test_what_cannot_be_served_beside_is_told_with_what_can(small_run, chat_folder, tmp_path):
    told = refused(ModelError, small_run, "prefer")
    assert "prefer; it has base, finetune, quantise" in told
    assert "quantise/q4_0" not in told
    assert "q4_0; it has q8_0" in refused(ModelError, small_run, "quantise/q4_0")
    assert "is part of none" in refused(ModelError, chat_folder, "base")
    for nothing in (tmp_path / "absent", tmp_path, "corpus", "", "base/x"):
        told = refused(ModelError, small_run, str(nothing))
        assert "name a stage (base, expand" in told
    for twice in (["base", "base"], ["finetune"], [str(small_run / "finetune-01")],
                  ["quantise", "quantise/q8_0"]):  # fmt: skip
        assert "served already" in refused(UsageError, small_run, *twice)


def test_a_run_that_lost_a_folder_still_serves(small_run, tmp_path):
    run = tmp_path / "lost"
    shutil.copytree(small_run, run)
    shutil.rmtree(run / "base-01")
    assert "is gone" in refused(ModelError, run, "base")
    assert find_places(run)[0].base is None
    (run / "base-01" / "model").mkdir(parents=True)
    (run / "base-01" / "model" / "config.json").write_text("{}")
    said: list[str] = []
    assert base_tokenizers(find_places(run), said.append) == {}
    assert said
    assert said[0].startswith("no token counts before expansion")


def test_several_quantised_models_must_be_named(small_run, tmp_path):
    out = tmp_path / "q"
    shutil.copytree(small_run / "quantise-01", out)
    assert names(find_places(small_run, [str(out)])) == ["small", "small-q8_0"]
    shutil.copytree(out / "q8_0", out / "q4_0")
    assert "q8_0, q4_0" in refused(ModelError, small_run, str(out))
    assert names(find_places(small_run, [str(out / "q8_0")])) == ["small", "model-q8_0"]


def test_a_gguf_file_of_another_model_is_refused(small_run, chat_folder, tmp_path):
    file = small_run / "quantise-01" / "q8_0" / "model-q8_0.gguf"
    wider = tmp_path / "wider"  # the same tokenizer, heads of another size
    shutil.copytree(small_run / "finetune-01" / "model", wider)
    config = LlamaConfig.from_pretrained(wider)
    config.num_attention_heads, config.num_key_value_heads, config.head_dim = 2, 1, 48
    LlamaForCausalLM(config).save_pretrained(wider)
    for folder, told in ((chat_folder, "the tokenizer of another model"),
                         (wider, "GGUF file is of another model")):  # fmt: skip
        with pytest.raises(ModelError) as caught:
            load_all(find_places(folder, [str(file)]))
        assert told in str(caught.value)
        assert f"serve it alone: hanhua serve {file}" in str(caught.value)
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ModelError, match="no whole GGUF file"):
        load_all(find_places(small_run, [str(broken)]))


# Tokens


def tokenize(client: httpx.Client, **body: object) -> dict:
    response = client.post(TOKENIZE, json=body)
    assert response.status_code == 200, response.text
    return response.json()


def test_a_text_is_counted_before_and_after_expansion(several, small_run):
    ours = load_tokenizer(small_run / "finetune-01" / "model")
    theirs = load_tokenizer(small_run / "base-01" / "model")
    after = tokenize(several, prompt=HAN)
    before = tokenize(several, prompt=HAN, tokenizer="base")
    assert after["tokens"] == ours(HAN)["input_ids"]
    assert before["tokens"] == theirs(HAN)["input_ids"]
    assert after["count"] == len(after["tokens"]) < before["count"] == len(before["tokens"])
    assert after["max_model_len"] == before["max_model_len"] == 4096
    assert after["token_strs"] is None
    assert tokenize(several, model="small-base", prompt=HAN) == before
    assert tokenize(several, model="small-q8_0", prompt=HAN, tokenizer="base") == before
    assert tokenize(several, prompt=HAN, tokenizer="model") == after


def test_token_strings_can_be_read(several):
    body = {"prompt": "Tom 汉\n", "return_token_strs": True}
    before = tokenize(several, tokenizer="base", **body)["token_strs"]
    assert before[0] == "<s>"
    joined = "".join(before[1:])
    assert joined == " Tom ⟨E6⟩⟨B1⟩⟨89⟩\n"
    assert {"⟨E6⟩", "⟨B1⟩", "⟨89⟩"} <= set(before)
    plain = tokenize(several, prompt="<s>", add_special_tokens=False, return_token_strs=True)
    assert "<s>" not in plain["token_strs"]  # typed by a user: characters, not the token
    assert "".join(plain["token_strs"]).strip() == "<s>"
    talk = [{"role": "user", "content": HAN}]
    shown = tokenize(several, messages=talk, return_token_strs=True)
    assert HAN in "".join(shown["token_strs"])
    assert shown["count"] == chat(several, HAN)["usage"]["prompt_tokens"]
    closed = tokenize(several, messages=talk, add_generation_prompt=False)
    assert shown["tokens"][: closed["count"]] == closed["tokens"]
    assert closed["count"] < shown["count"]


@pytest.mark.parametrize(("body", "param"), [
    ({}, "messages"), ({"prompt": "x", "messages": [{"role": "user", "content": "x"}]}, "prompt"),
    ({"prompt": None}, "messages"), ({"prompt": ["x"]}, "prompt"), ({"messages": []}, "messages"),
    ({"messages": [{"role": "assistant", "content": "x"}]}, "messages"),
    ({"messages": [{"role": "user", "content": "x"}], "tokenizer": "base"}, "messages"),
    ({"messages": [{"role": "user", "content": "x"}], "add_special_tokens": True},
     "add_special_tokens"),
    ({"prompt": "x", "add_generation_prompt": True}, "add_generation_prompt"),
    ({"prompt": "x", "tokenizer": "gpt-9"}, "tokenizer"), ({"prompt": "x", "n": 2}, "n"),
    ({"prompt": "x", "tokenizer": "base", "model": "small-base"}, "tokenizer"),
    ({"prompt": "x", "return_token_strs": 1}, "return_token_strs"),
    ({"prompt": "汉" * 100_000}, "prompt"),
    ({"messages": [{"role": "user", "content": "x" * 300_000}]}, "messages"),
])  # fmt: skip
def test_bad_requests_name_the_field(several, body, param):
    response = several.post(TOKENIZE, json=body)
    assert response.status_code == 400
    assert check_error(response)["param"] == param


@given(name=st.sampled_from(["model", "prompt", "messages", "tokenizer", "add_special_tokens",
                             "add_generation_prompt", "return_token_strs", "extra"]),
       value=anything)  # fmt: skip
@QUICK
def test_any_json_in_any_field_of_tokenize(several, name, value):
    response = several.post(TOKENIZE, json={"prompt": "Tom", name: value})
    assert response.status_code in (200, 400, 404), response.text
    if response.status_code != 200:
        check_error(response)


@given(text=st.text(max_size=40))
@QUICK
def test_any_text_is_shown_whole(several, text):
    """The strings hold every character: those that are split stand there as their bytes."""
    for tokenizer in ("model", "base"):
        found = tokenize(several, prompt=text, add_special_tokens=False, tokenizer=tokenizer,
                         return_token_strs=True)  # fmt: skip
        assert len(found["token_strs"]) == found["count"] == len(found["tokens"])
        assert all(found["token_strs"])


def test_a_key_is_needed_and_its_requests_are_counted(small_run):
    with running_several(small_run, keys=(Key("secret", "me", requests_per_minute=2),)) as (url, _):
        assert httpx.post(url + TOKENIZE, json={"prompt": "x"}).status_code == 401
        headers = {"Authorization": "Bearer secret"}
        codes = [httpx.post(url + TOKENIZE, json={"prompt": "x"}, headers=headers).status_code
                 for _ in range(3)]  # fmt: skip
        assert codes == [200, 200, 429]


def test_the_document_has_it(several):
    document = several.get("/openapi.json").json()
    post = document["paths"][TOKENIZE]["post"]
    fields = post["requestBody"]["content"]["application/json"]["schema"]["properties"]
    assert {"prompt", "messages", "tokenizer", "return_token_strs"} <= fields.keys()
    answer = post["responses"]["200"]["content"]["application/json"]["schema"]
    assert "TokenizeAnswer" in json.dumps(answer)
