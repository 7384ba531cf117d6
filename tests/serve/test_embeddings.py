from __future__ import annotations

import base64
import struct

import pytest
import torch

from hanhua.serve.engine import Engine, EngineClosed
from hanhua.serve.errand import PIECE_TOKENS, embed, score

from .conftest import wait_until
from .test_api import EMBED

TEXTS = ["Tom", "the river is " * 60, "你好，"]


def test_they_are_the_mean_of_the_last_states(client, served):
    found = client.post(EMBED, json={"input": TEXTS, "model": "tiny"}).json()
    assert [item["index"] for item in found["data"]] == [0, 1, 2]
    ids = [served.encode_text(text) for text in TEXTS]
    assert found["usage"] == {"prompt_tokens": sum(map(len, ids)),
                              "total_tokens": sum(map(len, ids))}  # fmt: skip
    for item, tokens in zip(found["data"], ids, strict=True):
        with torch.inference_mode():
            mean = served.model.model(torch.tensor([tokens])).last_hidden_state[0].mean(0)
        expected = torch.nn.functional.normalize(mean, dim=0).tolist()
        assert item["embedding"] == pytest.approx(expected, abs=1e-4)
    assert len(ids[1]) > PIECE_TOKENS
    [model] = client.get("/v1/models").json()["data"]
    assert model["embeddings"]["dimensions"] == len(found["data"][0]["embedding"])


def test_base64_ids_and_single_texts_are_the_same(client, served):
    def embedding(**body):
        return client.post(EMBED, json=body).json()["data"][0]["embedding"]

    plain = embedding(input="Tom")
    assert embedding(input=served.encode_text("Tom")) == plain
    assert embedding(input=[served.encode_text("Tom")], user="me") == plain
    packed = base64.b64decode(embedding(input="Tom", encoding_format="base64"))
    assert struct.unpack(f"<{len(plain)}f", packed) == pytest.approx(plain)
    assert embedding(input="Tom", dimensions=len(plain), encoding_format="float") == plain


def test_a_broken_errand_harms_nobody_and_a_given_up_one_goes(served, caplog):
    engine = Engine(served)
    try:
        broken = engine.send(embed([[10**6]]))
        sound = engine.send(score([[5, 6, 7]], 1))
        assert isinstance(broken.exception(20), RuntimeError)
        assert len(sound.result(20)[0]) == 3
        long = engine.send(embed([[5] * 4000] * 50))
        assert long.cancel()
        wait_until(lambda: not len(engine._errands))
        assert len(engine.send(embed([[5]])).result(20)) == 1
        last = engine.send(embed([[5] * 4000] * 50))
    finally:
        engine.close()
    assert last.cancelled()
    assert "an errand failed" in caplog.text
    with pytest.raises(EngineClosed):
        engine.send(embed([[5]]))
