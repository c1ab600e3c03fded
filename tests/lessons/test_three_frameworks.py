"""Lesson 11: the NumPy judge against differences and Keras; PyTorch and JAX where they are installed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from course_utils.checks import three_frameworks as check
from course_utils.lessons.catalogue import find
from tests.lessons.code import lesson_code


@pytest.fixture(scope="module")
def lesson():
    return lesson_code("11_three_frameworks")


@pytest.fixture
def case(lesson):
    rng = np.random.default_rng(1)
    params = lesson.init_params((784, 128, 64, 10), rng)
    return params, rng.uniform(size=(32, 784)).astype("float32"), rng.integers(10, size=32)


def give(lesson, **packages):
    """Hand packages to the lesson's functions, as its own imports do in the notebook."""
    lesson.forward.__globals__.update(packages)


def assert_all_close(ours, theirs, **tolerance):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), **tolerance)


def test_the_judge_s_gradients_are_central_differences(lesson):
    rng = np.random.default_rng(2)
    params = [p.astype(float) for p in lesson.init_params((5, 7, 6, 3), rng)]
    X, y = rng.normal(size=(9, 5)), rng.integers(3, size=9)
    _, gradients = lesson.loss_and_gradients(params, X, y)
    for p, g in zip(params, gradients, strict=True):
        assert g.shape == p.shape
        for place in np.ndindex(*p.shape):
            kept, h = p[place], 1e-6
            p[place] = kept + h
            up = lesson.loss_and_gradients(params, X, y)[0]
            p[place] = kept - h
            down = lesson.loss_and_gradients(params, X, y)[0]
            p[place] = kept
            assert g[place] == pytest.approx((up - down) / (2 * h), abs=1e-7)


def test_cross_entropy_of_huge_logits_is_finite(lesson):
    loss, gradient = lesson.cross_entropy(np.array([[1e4, 0.0], [0.0, 1e4]]), np.array([1, 1]))
    assert loss == pytest.approx(5000)
    np.testing.assert_allclose(gradient, [[0.5, -0.5], [0, 0]])


def test_sgd_leaves_the_old_parameters(lesson, case):
    params, X, y = case
    before = [p.copy() for p in params]
    stepped = lesson.sgd(params, lesson.loss_and_gradients(params, X, y)[1], 0.1)
    assert all(np.array_equal(a, b) for a, b in zip(params, before, strict=True))
    assert lesson.loss_and_gradients(stepped, X, y)[0] < lesson.loss_and_gradients(params, X, y)[0]


def test_keras_step_is_the_judge_s(lesson, case):
    import keras

    params, X, y = case
    model = lesson.keras_network()
    model.set_weights(params)
    logits, loss, gradients = lesson.keras_step(model, keras.optimizers.SGD(0.1), X, y)
    expected_loss, expected = lesson.loss_and_gradients(params, X, y)
    np.testing.assert_allclose(logits, lesson.forward(params, X)[-1], atol=1e-5)
    assert float(loss) == pytest.approx(expected_loss, abs=1e-5)
    assert_all_close(gradients, expected, atol=1e-6)
    assert_all_close(model.get_weights(), lesson.sgd(params, expected, 0.1), atol=1e-6)


def test_pytorch_step_is_the_judge_s(lesson, case):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: python course.py backends")
    give(lesson, torch=torch)
    params, X, y = case
    network = lesson.torch_network()
    lesson.to_torch(network, params)
    rows = check.to_rows.reference(params)
    assert_all_close([p.detach().numpy() for p in network.parameters()], rows, atol=0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    logits, loss = lesson.torch_step(network, optimizer, torch.from_numpy(X), torch.from_numpy(y))
    expected_loss, expected = lesson.loss_and_gradients(params, X, y)
    np.testing.assert_allclose(logits.detach().numpy(), lesson.forward(params, X)[-1], atol=1e-5)
    assert loss.item() == pytest.approx(expected_loss, abs=1e-5)
    assert_all_close([p.grad.numpy().T for p in network.parameters()], expected, atol=1e-6)


def test_jax_step_is_the_judge_s(lesson, case):
    jax = pytest.importorskip("jax", reason="JAX is not installed: python course.py backends")
    give(lesson, jax=jax, jnp=jax.numpy)
    params, X, y = case
    stepped, loss, gradients = lesson.jax_step(params, X, y)
    expected_loss, expected = lesson.loss_and_gradients(params, X, y)
    assert float(loss) == pytest.approx(expected_loss, abs=1e-5)
    assert_all_close(gradients, expected, atol=1e-6)
    assert_all_close(stepped, lesson.sgd(params, expected, 0.1), atol=1e-6)

    def one(params, x, label):
        return lesson.jax_loss(params, x[None], label[None])

    layer = [params[0][:, :10], params[1][:10]]
    ours = check.per_example_gradients.reference(*layer, X, y)
    assert_all_close(jax.vmap(jax.grad(one), (None, 0, 0))(layer, X, y), ours, atol=1e-5)


def test_an_absent_package_is_none(lesson):
    assert lesson.optional("no_such_framework") is None
    assert lesson.optional("json") is json


def test_a_failing_backend_is_one_sentence(lesson, tmp_path):
    give(lesson, sys=__import__("sys"))
    (tmp_path / "script.py").write_text("raise ValueError('no such backend here')")
    with pytest.raises(RuntimeError, match="no such backend here"):
        lesson.run_on("tensorflow", tmp_path)


def test_gradients_one_by_one_have_the_batch_s_gradient_as_their_mean(lesson, case):
    params, X, y = case
    each = lesson.one_by_one(params, X, y)
    assert_all_close([g.mean(axis=0) for g in each], lesson.loss_and_gradients(params, X, y)[1], atol=1e-6)


def test_pieces_give_the_whole_batch_s_gradient(lesson, case):
    params, X, y = case
    cuts = [slice(0, 20), slice(20, 32)]
    pieces = [lesson.loss_and_gradients(params, X[c], y[c])[1] for c in cuts]
    assert_all_close(
        check.whole_batch_gradient.reference(pieces, [20, 12]),
        lesson.loss_and_gradients(params, X, y)[1],
        atol=1e-6,
    )


def test_batches_use_every_example_once(lesson):
    X = np.arange(10.0)[:, None]
    got = list(lesson.batches(X, X[:, 0], 4, np.random.default_rng(0)))
    assert [len(labels) for _, labels in got] == [4, 4, 2]
    assert sorted(np.concatenate([labels for _, labels in got])) == list(range(10))


def test_the_floor_of_a_double_softmax():
    """The text: probabilities taken for logits cannot bring the loss below log(1 + 9/e)."""
    probabilities = np.eye(10)[:1]
    loss = np.log(np.exp(probabilities).sum()) - 1.0
    assert loss == pytest.approx(np.log(1 + 9 / np.e), abs=1e-12)
    assert loss == pytest.approx(1.46, abs=0.005)


def test_without_the_other_frameworks_every_part_says_so(lesson_runs):
    """Whether or not PyTorch and JAX are here, no part of the lesson vanishes without a word."""
    run = lesson_runs("sample")["11_three_frameworks"]
    text = "".join(o.get("text", "") for c in run.notebook.cells for o in c.get("outputs", []))
    for label, module in {"PyTorch": "torch", "JAX": "jax"}.items():
        skipped = f"Skipped, because {label} is not installed" in text
        assert skipped == (f"{label} is not installed" in text)
        assert skipped != (f"KERAS_BACKEND={module}" in text.replace(f"with KERAS_BACKEND={module}", ""))
    (lesson,) = find(["11"])
    source = "\n".join(c.source for c in lesson.notebook.cells if c.cell_type == "code")
    assert source.count('skip("PyTorch"') >= 4 and source.count('skip("JAX"') >= 6
