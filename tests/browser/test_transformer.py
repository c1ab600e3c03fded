"""The Transformer that figures share: its NumPy twin against Keras, its JavaScript against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from course_utils.explorables import NextTokenLab, TransformerTracer
from course_utils.explorables._transformer import (
    ACTIVATIONS,
    MAX_PARAMETERS,
    checked,
    checked_activation,
    checked_vocabulary,
    direct_effect,
    forward,
    gelu,
    layer_norm,
    pack,
    random_weights,
    read_out,
    sizes,
    softmax,
    unpack,
)

LETTERS = list("abcdefghijk")
V, CONTEXT, D = len(LETTERS), 12, 16
TOKENS = [3, 0, 7, 7, 10, 2, 5, 1]


def model_weights(**options):
    return random_weights(V, CONTEXT, D, **options)


def keras_model(weights, heads, causal, activation):
    """The same model in Keras, with the same weights."""
    import keras
    from keras import layers, ops

    known = sizes(weights)
    d, width, m = known["d"], known["d"] // heads, known["m"]

    class Positions(layers.Layer):
        def build(self, shape):
            self.table = self.add_weight(shape=(known["context"], d), name="table")

        def call(self, x):
            return x + self.table[: ops.shape(x)[1]]

    inputs = keras.Input((None,), dtype="int32")
    x = layers.Embedding(known["vocabulary"], d, weights=[weights["token_embedding"]])(inputs)
    positions = Positions()
    x = positions(x)
    positions.set_weights([weights["position_embedding"]])
    for i in range(known["blocks"]):
        w = {name.removeprefix(f"blocks.{i}."): value for name, value in weights.items()}
        norm = layers.LayerNormalization(epsilon=1e-6)
        y = norm(x)
        norm.set_weights([w["ln1.gamma"], w["ln1.beta"]])
        attention = layers.MultiHeadAttention(heads, width)
        x = x + attention(y, y, use_causal_mask=causal)
        parts = []
        for c in "qkv":
            parts += [
                w[f"attention.W_{c}"].reshape(d, heads, width),
                w[f"attention.b_{c}"].reshape(heads, width),
            ]
        attention.set_weights([*parts, w["attention.W_o"].reshape(heads, width, d), w["attention.b_o"]])
        norm = layers.LayerNormalization(epsilon=1e-6)
        y = norm(x)
        norm.set_weights([w["ln2.gamma"], w["ln2.beta"]])
        squash = "relu" if activation == "relu" else lambda z: keras.activations.gelu(z, approximate=True)
        first, second = layers.Dense(m, activation=squash), layers.Dense(d)
        x = x + second(first(y))
        first.set_weights([w["mlp.W1"], w["mlp.b1"]])
        second.set_weights([w["mlp.W2"], w["mlp.b2"]])
    norm, last = layers.LayerNormalization(epsilon=1e-6), layers.Dense(known["vocabulary"])
    outputs = last(norm(x))
    norm.set_weights([weights["final_ln.gamma"], weights["final_ln.beta"]])
    last.set_weights([weights["W_vocab"], weights["b_vocab"]])
    return keras.Model(inputs, outputs)


# ---- without a browser ----


@pytest.mark.parametrize(("heads", "causal", "activation"), [(4, True, "gelu"), (2, False, "relu")])
def test_logits_are_those_of_an_equal_keras_model(heads, causal, activation):
    weights = model_weights(seed=3)
    wanted = np.array(keras_model(weights, heads, causal, activation)(np.array([TOKENS])))[0]
    found = forward(weights, TOKENS, heads, causal, activation)["logits"]
    np.testing.assert_allclose(found, wanted, atol=2e-4)
    assert np.abs(wanted).max() > 1


def test_gelu_and_layer_norm_are_those_of_keras():
    import keras

    z = np.linspace(-4, 4, 33, dtype="float32")
    np.testing.assert_allclose(gelu(z), np.array(keras.activations.gelu(z, approximate=True)), atol=1e-6)
    x = np.random.default_rng(0).normal(size=(5, D))
    norm = keras.layers.LayerNormalization(epsilon=1e-6)
    np.testing.assert_allclose(layer_norm(x, np.ones(D), np.zeros(D)), np.array(norm(x)), atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_what_is_computed_on_the_way_adds_up(causal):
    weights = model_weights(blocks=3)
    run = forward(weights, TOKENS, 4, causal, "gelu")
    T, stream = len(TOKENS), run["embedding"]
    assert run["lens"].shape == (7, T, V)
    for i, block in enumerate(run["blocks"]):
        assert block["attention"].shape == (4, T, T) and block["head_outputs"].shape == (4, T, D)
        np.testing.assert_allclose(block["attention"].sum(axis=-1), 1)
        assert (np.triu(block["attention"], 1) == 0).all() == causal
        bias = weights[f"blocks.{i}.attention.b_o"]
        np.testing.assert_allclose(block["head_outputs"].sum(axis=0) + bias, block["added_attention"])
        np.testing.assert_allclose(stream + block["added_attention"], block["middle"])
        np.testing.assert_allclose(block["middle"] + block["added_mlp"], block["stream"])
        np.testing.assert_allclose(read_out(weights, block["middle"]), run["lens"][2 * i + 1])
        stream = block["stream"]
    np.testing.assert_allclose(run["lens"][-1], run["logits"])
    later = forward(weights, [*TOKENS[:-1], 9], 4, causal, "gelu")["logits"][:-1]
    assert np.allclose(later, run["logits"][:-1]) == causal


def test_a_head_that_is_off_adds_nothing():
    weights = model_weights()
    on, off = forward(weights, TOKENS, 4), forward(weights, TOKENS, 4, off=[(0, 2), (1, 0)])
    assert (off["blocks"][0]["head_outputs"][2] == 0).all() and (
        off["blocks"][1]["head_outputs"][0] == 0
    ).all()
    np.testing.assert_array_equal(off["blocks"][0]["attention"], on["blocks"][0]["attention"])
    without = on["blocks"][0]["added_attention"] - on["blocks"][0]["head_outputs"][2]
    np.testing.assert_allclose(off["blocks"][0]["added_attention"], without)
    silenced = {**weights, "blocks.0.attention.W_o": weights["blocks.0.attention.W_o"].copy()}
    silenced["blocks.0.attention.W_o"][2 * D // 4 : 3 * D // 4] = 0
    np.testing.assert_allclose(
        forward(weights, TOKENS, 4, off=[(0, 2)])["logits"], forward(silenced, TOKENS, 4)["logits"]
    )


def test_direct_effects_of_all_additions_make_the_logits():
    weights = model_weights(seed=5)
    run = forward(weights, TOKENS, 4)
    last = run["blocks"][-1]["stream"]
    parts = [run["embedding"]]
    for block in run["blocks"]:
        parts += [block["added_attention"], block["added_mlp"]]
    total = sum(direct_effect(weights, part, last) for part in parts)
    fixed = weights["final_ln.beta"] @ weights["W_vocab"] + weights["b_vocab"]
    np.testing.assert_allclose(softmax(total + fixed), softmax(run["logits"]), atol=1e-12)


def test_packing_keeps_the_weights():
    weights = checked(model_weights(), 4)
    packed = pack(weights, 4, True, "gelu")
    assert packed["precision"] == "float32"
    for name, array in unpack(packed).items():
        np.testing.assert_array_equal(array, weights[name])
    halves = checked({name: array.astype("float16") for name, array in weights.items()}, 4)
    packed = pack(halves, 4, True, "gelu")
    assert packed["precision"] == "float16"
    for name, array in unpack(packed).items():
        np.testing.assert_array_equal(array, halves[name])


def test_a_large_model_travels_as_float16_and_a_larger_one_not_at_all():
    large = checked(random_weights(60, 64, 64, 2), 4)
    packed = pack(large, 4, True, "gelu")
    assert packed["precision"] == "float16" and len(packed["weights"]) < 400_000
    for name, array in unpack(packed).items():
        np.testing.assert_allclose(array, large[name], rtol=6e-4, atol=1e-7)
    assert 4 / 3 * 2 * MAX_PARAMETERS <= 440_000
    with pytest.raises(ValueError, match=r"has [\d,]+ parameters; at most 165,000 fit into a page"):
        checked(random_weights(60, 64, 96, 2), 4)
    with pytest.raises(ValueError, match="too large for float16"):
        pack({**large, "b_vocab": large["b_vocab"] + 1e6}, 4, True, "gelu")


def test_wrong_weights_are_one_sentence():
    good = model_weights()
    for change, message in (
        ({"token_embedding": None}, r"lack 'token_embedding', an array of shape \(V, d\)"),
        ({"position_embedding": None}, "lack 'position_embedding'"),
        ({"blocks.1.mlp.b2": None}, r"lack 'blocks\.1\.mlp\.b2', an array of shape \(16,\)"),
        ({"W_vocab": None}, "lack 'W_vocab'"),
        ({"token_embedding": np.zeros(3)}, r"'token_embedding' must have the shape \(V, d\), not \(3,\)"),
        ({"W_vocab": np.zeros((V, D))}, r"'W_vocab' must have the shape \(16, 11\), not \(11, 16\)"),
        ({"b_vocab": np.full(V, np.nan)}, "'b_vocab' holds numbers that are not finite"),
        ({"b_vocab": ["a"] * V}, "'b_vocab' must hold numbers only"),
    ):
        weights = {name: value for name, value in {**good, **change}.items() if value is not None}
        with pytest.raises(ValueError, match=message):
            checked(weights, 4)
    with pytest.raises(ValueError, match="weights must be a dict of arrays, not list"):
        checked([1, 2], 4)
    with pytest.raises(ValueError, match="7 blocks; the figures draw at most 6"):
        checked(model_weights(blocks=7), 4)
    for heads in (3, 0, 2.0, True, "4"):
        with pytest.raises(ValueError, match="heads must be a whole number that divides the width 16"):
            checked(good, heads)
    assert "vocabulary" not in checked({**good, "vocabulary": np.array(LETTERS)}, 4)
    for vocabulary, message in (
        (7, "must be a list of texts"),
        (["a", 1], "must be a list of texts"),
        (["a", ""], "must be a list of texts"),
        (["a", "b", "a"], "each token once; 'a' stands"),
        ([str(k) for k in range(300)], "300 tokens; at most 256"),
        (["a", "b"], "holds 2 tokens, but the model knows 11"),
    ):
        with pytest.raises(ValueError, match=message):
            checked_vocabulary(vocabulary, V)
    assert checked_vocabulary(np.array(LETTERS), V) == checked_vocabulary("".join(LETTERS), V) == LETTERS
    with pytest.raises(ValueError, match="activation must be one of 'gelu', 'relu', not 'tanh'"):
        checked_activation("tanh")
    for tokens, message in (
        ([], "1 to 12 whole numbers"),
        ([0] * 13, "1 to 12 whole numbers"),
        ([[0, 1]], "in one row"),
        ([0.5], "whole numbers from 0 to 10"),
        ([11], "whole numbers from 0 to 10"),
        ([-1], "whole numbers from 0 to 10"),
    ):
        with pytest.raises(ValueError, match=message):
            forward(good, tokens, 4)


# ---- in the browser ----

RUN = """
const { transformer } = host.modules[0].math;
const net = transformer.decode(host.models[0].get("network"));
const run = transformer.forward(net, arguments[0], arguments[1]);
const list = (a) => Array.from(a);
return {
  logits: list(run.logits), embedding: list(run.embedding), lens: run.streams.map((s) => list(transformer.readOut(net, s))),
  blocks: run.blocks.map((b) => ({ attention: b.attention.map(list), head_outputs: b.headOutputs.map(list), added_attention: list(b.addedAttention),
    middle: list(b.middle), added_mlp: list(b.addedMlp), stream: list(b.stream) })),
  effect: list(transformer.directEffect(net, transformer.row(run.blocks[0].headOutputs[1], 4, net.d), transformer.row(run.blocks[net.L - 1].stream, 4, net.d))),
  parameters: net.parameters, norm: transformer.norm(transformer.row(run.embedding, 1, net.d)),
};
"""


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize(("heads", "causal", "dtype"), [(4, True, "float32"), (2, False, "float16")])
def test_browser_computes_the_same_numbers(open_page, heads, causal, dtype, activation):
    weights = {name: w.astype(dtype) for name, w in model_weights(blocks=3, m=24, seed=8).items()}
    page = open_page(TransformerTracer(weights, LETTERS[:5], LETTERS, heads, causal, activation))
    for off in ([], [[0, 1], [2, 0]]):
        got = page.js(RUN, TOKENS, off)
        wanted = forward(weights, TOKENS, heads, causal, activation, off=off)
        for name in ("logits", "embedding", "lens"):
            np.testing.assert_allclose(np.ravel(got[name]), wanted[name].ravel(), atol=1e-9)
        for mine, twin in zip(got["blocks"], wanted["blocks"], strict=True):
            for name, values in twin.items():
                np.testing.assert_allclose(np.ravel(mine[name]), values.ravel(), atol=1e-9)
        effect = direct_effect(
            weights, wanted["blocks"][0]["head_outputs"][1, 4], wanted["blocks"][-1]["stream"][4]
        )
        np.testing.assert_allclose(got["effect"], effect, atol=1e-9)
        assert got["norm"] == pytest.approx(np.linalg.norm(wanted["embedding"][1]))
    assert got["parameters"] == sum(w.size for w in weights.values())


def test_both_figures_share_the_model(open_page):
    weights = model_weights(seed=2)
    page = open_page(NextTokenLab(weights, LETTERS, prompt="abc"))
    got = page.js(RUN, TOKENS, [])
    np.testing.assert_allclose(got["logits"], forward(weights, TOKENS, 4)["logits"].ravel(), atol=1e-9)
