"""The recipe: strict, with file, line and the nearest key; overrides; schema; paths."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hanhua.cli.template import recipe_text
from hanhua.core.errors import RecipeError
from hanhua.recipe import Recipe, json_schema, load_recipe, section_from
from hanhua.text.config import CorpusConfig

MINIMAL = """\
name: small
base:
  model: {model}
corpus:
  sources:
    - {{path: zh.txt, language: zh, licence: CC0}}
tokens: {{shares: {{zh: 0.7, en: 0.3}}}}
pretrain:
  learning_rate: 1e-4
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    (tmp_path / "model").mkdir()
    path = tmp_path / "recipe.yaml"
    path.write_text(MINIMAL.format(model="model"), encoding="utf-8")
    return path


def test_paths_start_at_the_recipes_folder(recipe: Path, monkeypatch, tmp_path_factory):
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    found = load_recipe(recipe)
    assert found.base.model == str(recipe.parent / "model")
    assert found.corpus.sources[0].path == str(recipe.parent / "zh.txt")


def test_exponents_are_numbers(recipe: Path):
    assert load_recipe(recipe).pretrain.learning_rate == 1e-4
    assert load_recipe(recipe, ["pretrain.learning_rate=3e-5"]).pretrain.learning_rate == 3e-5


@given(st.floats(min_value=1e-9, max_value=1e9, allow_nan=False))
def test_every_spelling_of_a_float_is_read(value):
    import yaml

    from hanhua.core.settings import Loader

    for text in (f"{value:e}", f"{value:g}", repr(value)):
        assert yaml.load(text, Loader=Loader) == float(text)


def test_environment_and_hub_ids(tmp_path: Path, monkeypatch):
    path = tmp_path / "r.yaml"
    monkeypatch.setenv("MODELS", str(tmp_path / "models"))
    for given_, found in [
        ("${MODELS}/a", str(tmp_path / "models/a")),
        ("${ABSENT:-here}/b", str(tmp_path / "here/b")),
        ("meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-7b-hf"),
        ("modelscope:org/name", "modelscope:org/name"),
        ("hf:org/name@main", "hf:org/name@main"),
    ]:
        path.write_text(f"name: x\nbase: {{model: '{given_}'}}\n", encoding="utf-8")
        assert load_recipe(path).base.model == found


BAD = [
    ("name: a b\nbase: {model: x/y}\n", r"r\.yaml:1"),
    ("name: x\nbase: {modle: x/y}\n", r"r\.yaml:2[\s\S]*did you mean 'model'"),
    ("name: x\nbase: {model: x/y}\npretrian: {}\n", r"r\.yaml:3[\s\S]*did you mean 'pretrain'"),
    ("name: x\nbase: {model: x/y}\nname: y\n", r"r\.yaml:3[\s\S]*given twice"),
    ("name: x\nbase: {model: x/y}\nseed: soon\n", r"r\.yaml:3[\s\S]*seed: 'soon'"),
    ("name: x\nbase: {model: x/y}\nseed: -1\n", r"r\.yaml:3"),
    ("name: x\nbase: {model: x/y}\nseed: 100000000000\n", r"less than 4294967296"),
    ("name: x\n", r"A key is missing[\s\S]*base"),
    ("- a\n- b\n", r"not a mapping"),
    ("", r"empty file"),
    ("name: [x\nbase:", r"not valid YAML[\s\S]*r\.yaml:"),
    ("name: x\nbase: {model: x/y}\npretrain: {}\n", r"pretrain needs the section tokens"),
    ("name: x\nbase: {model: '${NOWHERE_SET}/y'}\n", r"NOWHERE_SET is not set"),
]


@pytest.mark.parametrize(("text", "message"), BAD)
def test_mistakes_are_named_with_their_line(tmp_path: Path, text: str, message: str):
    path = tmp_path / "r.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_unknown_key_inside_a_list(recipe: Path):
    recipe.write_text(recipe.read_text().replace("licence: CC0", "license: CC0"))
    with pytest.raises(RecipeError, match=r"recipe\.yaml:6[\s\S]*did you mean 'licence'"):
        load_recipe(recipe)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "wants section.key=value"),
        ("seed=x", r"--set seed"),
        ("pretrain.learnig_rate=1", r"--set pretrain.learnig_rate[\s\S]*learning_rate"),
        ("name.first=x", "holds a value"),
        ("corpus.sources.7.path=x", "no such item"),
        ("pretrain.new_rows_lr_scale=5", "pretrain sets something for new rows"),
    ],
)
def test_bad_overrides(recipe: Path, override: str, message: str):
    with pytest.raises(RecipeError, match=message):
        load_recipe(recipe, [override])


@pytest.mark.parametrize(
    ("override", "what", "fix"),
    [
        ("name=a b", "only letters, digits, dots", None),
        ("seed=often", "a whole number is wanted", None),
        ("pretrain.learning_rate=fast", "a number is wanted", None),
        ("pretrain.learning_rate=0", "it must be more than 0.", None),
        ("seed=-1", "it must be at least 0.", None),
        ("export.shard_bytes=1", "it must be at least 1000000.", None),
        ("target=z", "it must have at least 2 characters.", None),
        ("corpus.sources=[]", "it must have at least 1 entry.", None),
        ("corpus.mend=maybe", "true or false is wanted", None),
        ("machine=3", "keys with values are wanted", None),
        ("corpus.dedup=exakt", "it is none of near, exact, none", "did you mean 'exact'?"),
        ("machine.device=gpu", "it is none of auto, cpu, cuda", None),
        ("export.formats=[gguf]", "only hf is known here", "set it to hf"),
        ("base.model=3", "text is wanted", None),
    ],
)
def test_a_wrong_value_is_named_in_plain_words(recipe: Path, override: str, what: str, fix):
    with pytest.raises(RecipeError) as caught:
        load_recipe(recipe, [override])
    assert what in caught.value.what
    assert "Input should" not in caught.value.message
    assert caught.value.found.startswith(override.partition("=")[0]), "no name of a type in it"
    assert str(caught.value.fix).startswith(fix or "see the key's meaning")


@pytest.mark.parametrize(
    ("settings", "what", "where", "fix"),
    [
        (["dedpu=exact"], "Unknown key (1 more after it).", "--set dedpu", "did you mean 'dedup'?"),
        (["sources=[{path: x, langauge: zh}]"], "Unknown key", "--set sources.0.langauge",
         "did you mean 'language'?"),
        (["dedup=exact"], "A key is missing", "--set sources", "add it"),
        (["sources=[{path: x, language: 3}]"], "The setting does not hold", "corpus.sources.0.lang",
         "see the key's"),
        (["sources=[]"], "it must have at least 1 entry", "corpus.sources", "see the key's"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_section_without_a_recipe_is_named_as_deep_as_it_is(
    settings: list[str], what: str, where: str, fix: str
):
    with pytest.raises(RecipeError) as caught:
        section_from(CorpusConfig, "corpus", settings)
    assert what in caught.value.what
    assert str(caught.value.where).startswith(where)
    assert str(caught.value.fix).startswith(fix)


def test_override_reaches_lists_and_new_keys(recipe: Path):
    found = load_recipe(recipe, ["corpus.sources.0.language=ja", "eval={}", "seed=3"])
    assert found.corpus.sources[0].language == "ja"
    assert found.eval is not None
    assert found.seed == 3


def test_machine_is_in_no_fingerprint(recipe: Path, tmp_path: Path):
    from hanhua.core.walk import plan

    (tmp_path / "zh.txt").write_text("你好", encoding="utf-8")
    (tmp_path / "model" / "config.json").write_text("{}")
    one = plan(load_recipe(recipe).walk(tmp_path))
    two = plan(load_recipe(recipe, ["machine.threads=3"]).walk(tmp_path / "far"))
    other = plan(load_recipe(recipe, ["seed=5"]).walk(tmp_path))
    assert [s.fingerprint for s in one] == [s.fingerprint for s in two]
    assert all(a.fingerprint != b.fingerprint for a, b in zip(one, other, strict=True))


def test_training_reads_held_out_text_only_where_it_is_watched(tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text("meta-llama/Llama-2-7b-hf", "zh"), encoding="utf-8")

    def corpus_readers(*overrides: str) -> set[str]:
        nodes = load_recipe(path, overrides).walk(tmp_path).nodes
        return {n.stage.name for n in nodes if "corpus" in n.inputs} & {"pretrain", "finetune"}

    assert corpus_readers() == set()
    assert corpus_readers("pretrain.watch={}") == {"pretrain"}
    assert corpus_readers("finetune.stop={language: en}") == {"finetune"}


def test_only_pretraining_is_told_which_rows_are_new(tmp_path: Path):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text("meta-llama/Llama-2-7b-hf", "zh"), encoding="utf-8")
    assert load_recipe(path, ["pretrain.new_rows_lr_scale=5"]).pretrain.speaks_of_new_rows
    for override in ("finetune.new_rows_lr_scale=5", "finetune.phases=[{train: new_rows}]"):
        with pytest.raises(RecipeError, match="finetune sets something for new rows"):
            load_recipe(path, [override])


@pytest.mark.parametrize(("override", "said"), [
    ("pretrain.batch_tokens=2000", "pretrain.batch_tokens is 2000.* these have 2048 tokens"),
    ("finetune.batch_tokens=2000", "finetune.batch_tokens is 2000.* these have 2048 tokens"),
    ("prefer={sources: [{path: pairs.jsonl}], batch_tokens: 1000}", "prefer.* these have 1024"),
    ("pretrain.betas=[0.9, 1.0]", "less than 1"),
])  # fmt: skip
def test_steps_that_could_not_be_taken_are_refused(tmp_path: Path, override: str, said: str):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text("meta-llama/Llama-2-7b-hf", "zh"), encoding="utf-8")
    with pytest.raises(RecipeError, match=said):
        load_recipe(path, [override])
    alone = ["finetune.rehearsal_share=0", "finetune.batch_tokens=512"]
    assert load_recipe(path, alone).tokens.seq_len_tokens == 2048


@pytest.mark.parametrize(
    ("override", "said"),
    [("quantise.methods=[int8]", "which quantise can't store in fewer bits"),
     ("pretrain.lora.base_bits=4", "can't be held in 4 bits"),
     ("pretrain.lora.dora=true", "set dora: false"), ("pretrain.lora.rank=8", "")],
)  # fmt: skip
@pytest.mark.parametrize("named", ["model", "mistralai/Mixtral-8x7B-v0.1"])
def test_what_experts_can_not_have_is_refused_before_anything_runs(recipe, override, said, named):
    overrides = [f"base.model={named}", "eval={}", override]
    (recipe.parent / "model" / "config.json").write_text(json.dumps({"num_hidden_layers": 2}))
    if named == "model":
        load_recipe(recipe, overrides)  # a dense one may
    (recipe.parent / "model" / "config.json").write_text(json.dumps({"num_local_experts": 4}))
    if not said:
        assert load_recipe(recipe, overrides).pretrain.lora.rank == 8
        return
    with pytest.raises(RecipeError, match=said):
        load_recipe(recipe, overrides)


def test_schema_knows_every_section():
    schema = json_schema()
    assert set(schema["properties"]) == set(Recipe.model_fields)
    assert schema["additionalProperties"] is False
    json.dumps(schema)


@pytest.mark.parametrize("target", ["zh", "ja"])
def test_init_writes_a_recipe_that_loads(tmp_path: Path, target: str):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text("meta-llama/Llama-2-7b-hf", target), encoding="utf-8")
    found = load_recipe(path)
    assert found.target == target
    assert [node.stage.name for node in found.walk(tmp_path).nodes][-1] == "export"
