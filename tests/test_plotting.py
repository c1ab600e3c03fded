"""Figures: what they draw, how they are told apart, and that their alt text arrives."""

from __future__ import annotations

import base64
import itertools
import os
import struct
import subprocess
import sys
import textwrap

import matplotlib

matplotlib.use("agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.collections import PathCollection

from course_utils import plotting as plot
from course_utils.plotting import _curves, _style

# Machado, Oliveira and Fernandes (2009), doi:10.1109/TVCG.2009.113: severity 1.0, for linear RGB.
MACHADO = {
    "normal": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


@pytest.fixture(autouse=True)
def clean_figures():
    with matplotlib.rc_context():
        plot.style()
        yield
    plt.close("all")


def linear(color: str) -> np.ndarray:
    rgb = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIELAB of linear sRGB under D65."""
    to_xyz = np.array(
        [
            [0.4124564, 0.3575761, 0.1804375],
            [0.2126729, 0.7151522, 0.0721750],
            [0.0193339, 0.1191920, 0.9503041],
        ]
    )
    xyz = to_xyz @ rgb / [0.95047, 1.0, 1.08883]
    f = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def contrast(first: str, second: str) -> float:
    weights = np.array([0.2126, 0.7152, 0.0722])
    low, high = sorted((weights @ linear(first), weights @ linear(second)))
    return (high + 0.05) / (low + 0.05)


# ---------------------------------------------------------------------------- colours


@pytest.mark.parametrize("vision", MACHADO)
def test_class_colours_stay_apart_for_colour_blind_readers(vision):
    seen = {c: lab(np.clip(MACHADO[vision] @ linear(c), 0, 1)) for c in plot.CLASS_COLORS}
    for a, b in itertools.combinations(plot.CLASS_COLORS, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 20, (a, b, vision)


@pytest.mark.parametrize("vision", MACHADO)
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("BLUE", "ORANGE"),
        ("BLUE", "GREEN"),
        ("ORANGE", "GREEN"),
        ("BLUE", "GREY"),
        ("BLUE", "RED"),
        ("ORANGE", "RED"),
    ],
)
def test_roles_drawn_together_are_clearly_apart(vision, first, second):
    one, two = (lab(np.clip(MACHADO[vision] @ linear(getattr(plot, n)), 0, 1)) for n in (first, second))
    assert np.linalg.norm(one - two) > 30


@pytest.mark.parametrize(
    "name", ["BLUE", "ORANGE", "GREEN", "PURPLE", "SKY", "RED", "YELLOW", "GREY", "BLACK"]
)
def test_text_in_a_colour_is_readable_on_white(name):
    color = matplotlib.colors.to_hex(_style._text_color(getattr(plot, name)))
    assert contrast(color, "#ffffff") >= 4.5


def test_every_class_has_its_own_pair_of_colour_and_marker():
    pairs = {(k % len(plot.CLASS_COLORS), k % len(plot.CLASS_MARKERS)) for k in range(20)}
    assert len(pairs) == 20


def test_style_is_opaque_white_and_readable():
    rc = matplotlib.rcParams
    assert rc["figure.facecolor"] == rc["savefig.facecolor"] == rc["axes.facecolor"] == "white"
    assert not rc["savefig.transparent"]
    for key in (
        "font.size",
        "axes.labelsize",
        "axes.titlesize",
        "xtick.labelsize",
        "ytick.labelsize",
        "legend.fontsize",
    ):
        assert rc[key] >= 10
    assert rc["figure.figsize"][0] <= 8
    for key in ("text.color", "axes.labelcolor", "xtick.color", "ytick.color"):
        assert contrast(rc[key], "#ffffff") >= 4.5


# ---------------------------------------------------------------------------- show


def captured(fig, alt):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    try:
        with capture_output() as out:
            plot.show(fig, alt)
    finally:
        InteractiveShell.clear_instance()
    return out


def simple_figure():
    fig, ax = plt.subplots()
    ax.plot([1, 2], [3, 4])
    return fig


def test_show_sends_png_with_alt_text_and_closes():
    fig = simple_figure()
    out = captured(fig, "A line\n  that rises.")
    (output,) = out.outputs
    assert output.data["text/plain"] == "A line that rises."
    metadata = output.metadata["image/png"]
    assert metadata["alt"] == "A line that rises."
    png = base64.b64decode(output.data["image/png"])
    assert png.startswith(b"\x89PNG")
    width, height = struct.unpack(">II", png[16:24])
    assert (metadata["width"], metadata["height"]) == (round(width / 2), round(height / 2))
    assert 400 < metadata["width"] <= 830
    assert out.stdout == ""
    assert plt.get_fignums() == []


def test_show_prints_the_alt_text_below_on_request(monkeypatch):
    monkeypatch.setenv("COURSE_ALT", "1")
    assert captured(simple_figure(), "A line.").stdout == "[Figure: A line.]\n"


def test_pngs_are_reproducible_opaque_and_undated():
    from io import BytesIO

    from PIL import Image

    first, second = (_style._png(simple_figure())[0] for _ in range(2))
    assert first == second
    for chunk in (b"tEXt", b"tIME", b"iTXt", b"tRNS"):
        assert chunk not in first
    assert Image.open(BytesIO(first)).convert("RGB").getpixel((0, 0)) == (255, 255, 255)


def test_photographs_keep_their_colours():
    from io import BytesIO

    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    buffer = BytesIO()
    Image.fromarray(noise).save(buffer, "PNG")
    stored = np.asarray(Image.open(BytesIO(_style._smaller(buffer.getvalue()))).convert("RGB"))
    assert np.array_equal(stored, noise)


@pytest.mark.parametrize("alt", ["", "   ", None])
def test_show_refuses_a_figure_without_alt_text(alt):
    with pytest.raises(ValueError, match="alt text"):
        plot.show(simple_figure(), alt)


def test_show_wants_the_figure():
    fig = simple_figure()
    with pytest.raises(TypeError, match="Axes"):
        plot.show(fig.axes[0], "A line.")


def test_show_outside_ipython_prints_the_alt_text():
    code = """
        import matplotlib; matplotlib.use("agg")
        import matplotlib.pyplot as plt
        from course_utils import plotting as plot
        fig, ax = plt.subplots()
        plot.show(fig, "Empty axes.")
        print(plt.get_fignums())
    """
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True
    )
    assert result.stdout == "[Figure: Empty axes.]\n[]\n"


def test_inline_backend_shows_a_figure_once(tmp_path):
    """In a kernel, with matplotlib's inline backend, the cell has one image output."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    source = (
        "import matplotlib.pyplot as plt\n"
        "from course_utils import plotting as plot, start\n"
        "start(seed=1)\n"
        "fig, ax = plt.subplots()\n"
        "ax.plot([1, 2])\n"
        "plot.show(fig, 'A rising line.')"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    environ = {k: v for k, v in os.environ.items() if k != "MPLBACKEND"}
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(tmp_path)}}).execute(
        env=environ
    )
    outputs = notebook.cells[0].outputs
    assert [o.output_type for o in outputs] == ["stream", "display_data"]
    assert outputs[0].name == "stdout"
    assert outputs[1].metadata["image/png"]["alt"] == "A rising line."


def test_long_titles_are_broken_but_not_inside_formulas():
    fig, axes = plt.subplots(1, 2, figsize=(7, 3))
    axes[0].set_title("The loss $L ( w ) = w^2 + 1$ falls in every single step of the descent")
    axes[1].set_title("Short")
    _style._wrap_titles(fig)
    title = axes[0]._left_title
    assert "\n" in title.get_text()
    assert "$L ( w ) = w^2 + 1$" in title.get_text()
    assert title.get_window_extent().width <= axes[0].get_window_extent().width * 1.05
    assert axes[1]._left_title.get_text() == "Short"


# ---------------------------------------------------------------------------- the plane


def scatters(ax):
    return [c for c in ax.collections if type(c) is PathCollection]


def test_points_draw_classes_with_their_own_colour_and_marker():
    _, ax = plt.subplots()
    X = np.arange(12.0).reshape(6, 2)
    plot.points(ax, X, [0, 1, 2, 0, 1, 2], class_names=["a", "b", "c"])
    drawn = scatters(ax)
    assert [matplotlib.colors.to_hex(c.get_facecolor()[0]).upper() for c in drawn] == plot.CLASS_COLORS[:3]
    assert len({c.get_paths()[0].vertices.tobytes() for c in drawn}) == 3
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["a", "b", "c"]


@pytest.mark.parametrize("labels", [[-1, 1], [0, 1], [False, True], np.array([[0.0], [1.0]])])
def test_points_give_two_classes_the_same_colours_however_they_are_written(labels):
    _, ax = plt.subplots()
    plot.points(ax, [[0, 0], [1, 1]], labels)
    colors = [matplotlib.colors.to_hex(c.get_facecolor()[0]).upper() for c in scatters(ax)]
    assert colors == [plot.ORANGE, plot.BLUE]


def test_points_give_a_lone_positive_class_its_own_colour():
    _, ax = plt.subplots()
    plot.points(ax, [[0, 0]], [1])
    assert matplotlib.colors.to_hex(scatters(ax)[0].get_facecolor()[0]).upper() == plot.BLUE


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (np.zeros((3, 3)), [0, 1, 1], r"\(n, 2\)"),
        (np.zeros((3, 2)), [0, 1], "3 points but 2"),
        (np.zeros((2, 2)), [0.5, 1], "whole numbers"),
        (np.zeros((2, 2)), [-2, 1], "-1 and"),
    ],
)
def test_points_say_what_is_wrong(X, y, message):
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match=message):
        plot.points(ax, X, y)


def boundary_vertices(ax):
    """Vertices of the contour lines drawn (not of the filled regions)."""
    found = []
    for collection in ax.collections:
        if type(collection).__name__ == "QuadContourSet" and not collection.filled:
            found += [path.vertices for path in collection.get_paths() if len(path.vertices)]
    return np.concatenate(found) if found else np.zeros((0, 2))


X_PLANE = np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, -1.0], [-1.0, 1.0]])
Y_PLANE = np.array([0, 1, 1, 0])


@pytest.mark.parametrize(
    ("predict", "offset"),
    [
        (lambda p: p[:, 0] + 0.5 * p[:, 1] - 0.2, 0.2),  # scores: boundary at 0
        (lambda p: 1 / (1 + np.exp(-5 * (p[:, 0] + 0.5 * p[:, 1] - 0.2))), 0.2),  # probabilities: at 0.5
        (lambda p: (p[:, 0] + 0.5 * p[:, 1] - 0.2)[:, None], 0.2),  # a column, as Keras gives it
        (lambda p: p[:, 0] + 0.5 * p[:, 1] > 0.2, 0.2),  # booleans
        (lambda p: np.where(p[:, 0] + 0.5 * p[:, 1] > 0.2, 1, -1), 0.2),  # labels -1, +1
    ],
)
def test_decision_boundary_stands_where_the_classifier_changes_its_mind(predict, offset):
    _, ax = plt.subplots()
    plot.decision_boundary(ax, predict, X_PLANE, Y_PLANE)
    vertices = boundary_vertices(ax)
    assert len(vertices) > 10
    assert np.abs(vertices @ [1, 0.5] - offset).max() < 0.02
    assert ax.get_xlim() == pytest.approx((-1.3, 1.3))
    assert len(scatters(ax)) == 2


def test_decision_boundary_at_a_given_level():
    _, ax = plt.subplots()
    plot.decision_boundary(ax, lambda p: p[:, 0] + 2, X_PLANE, Y_PLANE, level=2.5)
    assert boundary_vertices(ax)[:, 0] == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("predict", [lambda p: np.zeros(len(p), int), lambda p: np.full(len(p), -3.0)])
def test_decision_boundary_of_a_classifier_with_one_answer(predict, recwarn):
    _, ax = plt.subplots()
    plot.decision_boundary(ax, predict, X_PLANE, Y_PLANE)
    assert len(boundary_vertices(ax)) == 0
    assert not [w for w in recwarn if "contour" in str(w.message).lower()]


def test_decision_regions_have_the_colour_of_their_class():
    fig, ax = plt.subplots()
    ax.set_axis_off()
    X = np.array([[0.0, 0.0], [2.0, 0.0], [1.0, 2.0]])
    centres = X
    plot.decision_boundary(
        ax, lambda p: np.argmin(((p[:, None] - centres) ** 2).sum(-1), axis=1), X, [0, 1, 2], margin=1.0
    )
    fig.canvas.draw()
    picture = np.asarray(fig.canvas.buffer_rgba())
    for k, spot in enumerate([(0, -0.6), (2, -0.6), (1, 2.6)]):
        column, row = ax.transData.transform(spot).astype(int)
        wanted = 255 * np.array(_style._tint(plot.CLASS_COLORS[k], 0.3))
        assert np.abs(picture[picture.shape[0] - 1 - row, column, :3] - wanted).max() < 3


def test_decision_boundary_explains_a_wrong_shape():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="argmax"):
        plot.decision_boundary(ax, lambda p: np.zeros((len(p), 3)), X_PLANE, Y_PLANE)


@pytest.mark.parametrize(("w", "b"), [([1, 2], -1), ([0, 3], 1.5), ([2, 0], -1), ([1e-3, -1e-3], 0)])
def test_line_lies_on_its_equation_and_leaves_the_limits_alone(w, b):
    fig, ax = plt.subplots()
    ax.plot([-1, 1], [-1, 1])
    before = ax.get_xlim(), ax.get_ylim()
    plot.line(ax, w, b, label="boundary")
    assert (ax.get_xlim(), ax.get_ylim()) == before
    drawn = ax.get_lines()[-1]
    fig.canvas.draw()
    ends = ax.transData.inverted().transform(drawn.get_transform().transform(drawn.get_path().vertices))
    assert np.abs(ends @ w + b).max() < 1e-9
    ax.plot([-9, 9], [0, 0])  # the axes still follow what is drawn later
    assert ax.get_xlim()[1] > 9


def test_line_before_the_first_points_does_not_stretch_the_axes():
    _, ax = plt.subplots()
    plot.line(ax, [1.0, 1.0], -100.0)
    ax.scatter([0, 1], [0, 1])
    assert ax.get_xlim()[1] < 2


def test_line_without_weights_draws_nothing():
    _, ax = plt.subplots()
    plot.line(ax, np.zeros(2), 1.0)
    assert not ax.get_lines()


def test_loss_surface_keeps_its_limits_and_draws_the_path():
    _, ax = plt.subplots()
    path = np.array([[-1.0, 1.0], [0.5, 0.5], [9.0, 9.0]])
    plot.loss_surface(ax, lambda x, y: x**2 + 10 * y**2, (-2, 2), (-1, 1), path=path, label="SGD")
    assert ax.get_xlim() == (-2, 2)
    assert ax.get_ylim() == (-1, 1)
    assert np.array_equal(ax.get_lines()[0].get_xydata(), path)


def test_loss_surface_survives_flat_and_infinite_losses(recwarn):
    _, axes = plt.subplots(1, 2)
    plot.loss_surface(axes[0], lambda x, y: np.ones_like(x), (-1, 1), (-1, 1))
    with np.errstate(divide="ignore"):
        plot.loss_surface(axes[1], lambda x, y: -np.log(np.abs(x)), (-1, 1), (-1, 1))
    with pytest.raises(ValueError, match="shape"):
        plot.loss_surface(axes[0], lambda x, y: 1.0, (-1, 1), (-1, 1))


# ---------------------------------------------------------------------------- curves


def label_boxes(ax):
    ax.figure.draw_without_rendering()
    renderer = ax.figure.canvas.get_renderer()
    return {t.get_text(): matplotlib.text.Text.get_window_extent(t, renderer) for t in ax.texts}


def test_line_labels_never_overlap_and_keep_their_order():
    _, ax = plt.subplots()
    for i, name in enumerate("abcdefg"):
        ax.plot([0, 1], [0, 1 + 0.001 * i], label=name)
    ax.plot([0, 1], [0, 0.5])  # without a label
    plot.label_lines(ax)
    boxes = label_boxes(ax)
    assert list(sorted(boxes)) == list("abcdefg")
    for low, high in itertools.pairwise(boxes[name] for name in "abcdefg"):
        assert high.y0 >= low.y1 - 1.5
    assert all(box.x0 > ax.bbox.x0 + 0.9 * ax.bbox.width for box in boxes.values())


def test_line_label_stands_at_the_end_of_its_line():
    _, ax = plt.subplots()
    ax.plot([0, 1, 2], [0, 1, np.nan], label="ends early")
    ax.plot([0, 4], [0, 0], label="long")
    ax.set_yscale("symlog")
    plot.label_lines(ax)
    boxes = label_boxes(ax)
    end = ax.transData.transform([1, 1])
    box = boxes["ends early"]
    assert 0 < box.x0 - end[0] < 30
    assert abs((box.y0 + box.y1) / 2 - end[1]) < 3


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [([0, 50], [0, 50]), ([10, 10], [5, 15]), ([0, 0, 40], [0, 10, 40]), ([99, 100], [90, 100]), ([], [])],
)
def test_spreading_moves_labels_as_little_as_possible(wanted, expected):
    assert _curves._spread(np.array(wanted, float), 10, 0, 100) == pytest.approx(expected)


class History:
    def __init__(self, **history):
        self.history = history


def test_training_curves_of_one_run_use_the_course_colours():
    fig = plot.training_curves(History(loss=[3, 2, 1], val_loss=[3, 2.5, 2]), title="Falls")
    training, validation = fig.axes[0].get_lines()
    assert (training.get_label(), training.get_color()) == ("training", plot.BLUE)
    assert (validation.get_label(), validation.get_color()) == ("validation", plot.ORANGE)
    assert training.get_xdata().tolist() == [1, 2, 3]
    assert {t.get_text() for t in fig.axes[0].texts} == {"training", "validation"}
    assert fig.axes[0].get_xlabel() == "epoch"
    assert fig.axes[0].get_ylabel() == "loss"


def test_training_curves_compare_runs():
    runs = {"SGD": History(loss=[3, 2]), "Adam": {"loss": [3, 1], "val_loss": [3, 2]}}
    lines = plot.training_curves(runs, ylabel="cross-entropy").axes[0].get_lines()
    assert [item.get_label() for item in lines] == ["SGD", "Adam", "Adam, validation"]
    assert lines[1].get_color() == lines[2].get_color() != lines[0].get_color()
    assert lines[2].get_linestyle() != lines[1].get_linestyle()


def test_training_curves_of_one_epoch_are_visible():
    (line,) = plot.training_curves({"loss": [1.0]}).axes[0].get_lines()
    assert line.get_marker() == "o"


def test_training_curves_say_what_a_history_has():
    with pytest.raises(KeyError, match="accuracy, loss"):
        plot.training_curves({"loss": [1], "accuracy": [1]}, metric="f1")
    with pytest.raises(TypeError, match="History"):
        plot.training_curves([1, 2, 3])
    assert plt.get_fignums() == []


# ---------------------------------------------------------------------------- images and counts


def test_image_grid_uses_one_scale_and_as_many_columns_as_needed():
    images = np.stack([np.full((4, 4), 0.2), np.full((4, 4), 0.9), np.zeros((4, 4))])
    fig = plot.image_grid(images, titles=["a", 2, "c"], columns=2, suptitle="Three")
    drawn = [ax.images[0] for ax in fig.axes if ax.images]
    assert len(fig.axes) == 4
    assert len(drawn) == 3
    assert {image.get_clim() for image in drawn} == {(0.0, 1.0)}
    assert [ax.get_title() for ax in fig.axes[:3]] == ["a", "2", "c"]
    assert fig._suptitle.get_text() == "Three"


@pytest.mark.parametrize(
    ("images", "clim"),
    [
        (np.full((2, 3, 3, 1), 7, np.uint8), (0, 255)),
        (np.array([[[-2.0, 3.0]], [[0.0, 1.0]]]), (-2, 3)),
        (np.ones((2, 3, 3), bool), (0, 1)),
    ],
)
def test_image_grid_scales_by_the_kind_of_number(images, clim):
    fig = plot.image_grid(images)
    assert fig.axes[0].images[0].get_clim() == clim


def test_image_grid_takes_colour_images_of_any_range():
    fig = plot.image_grid([np.random.default_rng(0).normal(size=(5, 5, 3))])
    array = fig.axes[0].images[0].get_array()
    assert 0 <= array.min() <= array.max() <= 1


def test_image_grid_says_what_is_wrong():
    with pytest.raises(ValueError, match="no images"):
        plot.image_grid([])
    with pytest.raises(ValueError, match="2 images but 1 titles"):
        plot.image_grid(np.zeros((2, 3, 3)), titles=["one"])
    with pytest.raises(ValueError, match="shape"):
        plot.image_grid(np.zeros((2, 9)))


def test_confusion_matrix_counts_and_writes_readably():
    rng = np.random.default_rng(0)
    y_true = rng.integers(0, 6, 300)
    y_pred = np.where(rng.random(300) < 0.4, rng.integers(0, 6, 300), y_true)
    ax = plot.confusion_matrix(y_true, y_pred, title="Mistakes").axes[0]
    picture = ax.images[0].get_array()
    counts = np.zeros((6, 6), int)
    for text in ax.texts:
        column, row = map(int, text.get_position())
        counts[row, column] = int(text.get_text())
        background = matplotlib.colors.to_hex(picture[row, column])
        assert contrast(matplotlib.colors.to_hex(text.get_color()), background) >= 4.5
    assert np.array_equal(
        counts, [[np.sum((y_true == i) & (y_pred == j)) for j in range(6)] for i in range(6)]
    )


def test_confusion_matrix_as_shares_of_the_row():
    ax = plot.confusion_matrix([0, 0, 0, 1], [0, 0, 1, 1], ["no", "yes"], normalize=True).axes[0]
    assert [t.get_text() for t in ax.texts] == ["67%", "33%", "0", "100%"]
    assert [t.get_text() for t in ax.get_yticklabels()] == ["no", "yes"]


def test_confusion_matrix_says_what_is_wrong():
    with pytest.raises(ValueError, match="2 true labels but 1"):
        plot.confusion_matrix([0, 1], [0])
    with pytest.raises(ValueError, match="2 class names, but a label 2"):
        plot.confusion_matrix([0, 2], [0, 2], ["a", "b"])
    with pytest.raises(ValueError, match="no labels"):
        plot.confusion_matrix([], [])


def circles(ax):
    return [p for p in ax.patches if isinstance(p, matplotlib.patches.Circle) and p.get_radius() > 0.2]


@pytest.mark.parametrize("sizes", [[2, 3, 1], [1, 1], [10, 10, 10]])
def test_small_networks_are_drawn_whole(sizes):
    ax = plot.network_diagram(sizes).axes[0]
    assert len(circles(ax)) == sum(sizes)
    assert len(ax.collections[0].get_segments()) == sum(a * b for a, b in itertools.pairwise(sizes))


def test_large_layers_are_cut_and_their_size_is_written():
    fig = plot.network_diagram([784, 128, 10], max_units=8)
    ax = fig.axes[0]
    texts = [t.get_text() for t in ax.texts]
    assert len(circles(ax)) == 24
    assert len(ax.patches) - len(circles(ax)) == 9  # three dots in each of three layers
    assert {"784 units", "128 units", "10 units", "input", "hidden", "output"} <= set(texts)
    # the dots stand in the gap, not on a unit
    dots = [p.center for p in ax.patches if p.get_radius() < 0.2]
    assert min(np.hypot(*np.subtract(d, c.center)) for d in dots for c in circles(ax)) > 0.4


@pytest.mark.parametrize("max_units", [3, 4, 7, 10])
def test_ellipsis_is_clear_of_the_units_for_any_limit(max_units):
    ax = plot.network_diagram([100, 2], max_units=max_units).axes[0]
    dots = [p.center for p in ax.patches if p.get_radius() < 0.2]
    assert len(circles(ax)) == max_units + 2
    assert min(np.hypot(*np.subtract(d, c.center)) for d in dots for c in circles(ax)) > 0.4


def test_network_diagram_says_what_is_wrong():
    for arguments, message in [
        (([3],), "two layers"),
        (([3, 0],), "at least one unit"),
    ]:
        with pytest.raises(ValueError, match=message):
            plot.network_diagram(*arguments)
    with pytest.raises(ValueError, match="2 layers but 1 names"):
        plot.network_diagram([2, 1], layer_names=["in"])
    with pytest.raises(ValueError, match="max_units"):
        plot.network_diagram([2, 1], max_units=2)


def test_importing_loads_neither_matplotlib_nor_tensorflow():
    code = (
        "import sys, course_utils.plotting\n"
        "print([m for m in ('matplotlib', 'tensorflow', 'keras') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_interactive_figures_use_the_same_colours():
    from course_utils.explorables import _base

    for name in ("BLUE", "ORANGE", "GREEN", "PURPLE", "SKY", "RED", "YELLOW", "GREY", "BLACK"):
        assert getattr(_base, name) == getattr(plot, name)
