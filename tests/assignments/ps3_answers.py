"""Wrong answers to problem set 3, what each of them earns, and what its author is told: plain data, as in ``ps2_answers``.

``QUICK`` replaces answers that take long, where a mistake is made elsewhere: the tests of Task 6 are left out then.
"""

from __future__ import annotations

ASSIGNMENT = "ps3-cnn"

# Points of the test cells; the letter of Task 7 (6 points) is marked by hand.
POINTS = {
    "test-trace-sizes": 2,
    "test-trace-fields": 2,
    "test-trace-centres": 2,
    "test-depthwise-value": 1,
    "test-depthwise-channels": 1,
    "test-depthwise-strides": 1,
    "test-depthwise-beside-keras": 1,
    "test-backward-bias": 1,
    "test-backward-filters": 2,
    "test-backward-pictures": 3,
    "test-backward-leftovers": 1,
    "test-blur-stripes": 1,
    "test-blur-values": 2,
    "test-smooth-max": 2,
    "test-flicker": 2,
    "test-reader-form": 1,
    "test-reader-parameters": 1,
    "test-reader-multiply-adds": 1,
    "test-reader-larger-pictures": 2,
    "test-reader-skip": 1,
    "test-trained-form": 1,
    "test-trained-beats-averages": 1,
    "test-trained-three-quarters": 2,
    "test-trained-well": 2,
    "test-trained-steady": 1,
    "test-occlusion-values": 2,
    "test-occlusion-places": 1,
    "test-occlusion-calls": 1,
    "test-transplant": 3,
}

_TRAINED = (
    "test-trained-form",
    "test-trained-beats-averages",
    "test-trained-three-quarters",
    "test-trained-well",
    "test-trained-steady",
)
SLOW = set(_TRAINED)
QUICK = {"the-reader": "reader = None"}

IN_SANDBOX = ("backward: overlaps overwrite", "train: nothing trained")

_TRACE = """
def trace(stack, size):
    rows, field, distance, centre = [], 1, 1, 0.0
    for k, s, p, r in np.asarray(stack):
        size = {size}
        {before}
        field += {field}
        centre += {centre}
        {after}
        rows.append((size, field, distance, centre))
    return np.array(rows, dtype=float)
"""
_RIGHT_TRACE = {
    "size": "(size + 2 * p - r * (k - 1) - 1) // s + 1",
    "before": "pass",
    "field": "(k - 1) * r * distance",
    "centre": "(r * (k - 1) / 2 - p) * distance",
    "after": "distance *= s",
}

_DEPTHWISE = """
def depthwise(X, W, b, stride):
    k = len(W)
    {prepare}
    rows, columns = (X.shape[1] - k) // stride + 1, (X.shape[2] - k) // stride + 1
    Z = np.zeros((len(X), rows, columns, X.shape[3])) + b
    for u in range(k):
        for v in range(k):
            Z += {term}
    return Z
"""
_TERM = "X[:, u : u + stride * rows : stride, v : v + stride * columns : stride] * W[u, v]"

_BACKWARD = """
def depthwise_backward(G, X, W, stride):
    k, (_, rows, columns, _) = len(W), G.shape
    grad_X, grad_W = np.zeros(X.shape), np.zeros(W.shape)
    for u in range(k):
        for v in range(k):
            window = (slice(None), slice(u, u + stride * rows, stride), slice(v, v + stride * columns, stride))
            grad_W[{at}] = (X[window] * G).{total}(axis=(0, 1, 2))
            grad_X[window] {gather} G * W[{weight}]
    return grad_X, grad_W, {grad_b}
"""
_RIGHT_BACKWARD = {
    "at": "u, v",
    "total": "sum",
    "gather": "+=",
    "weight": "u, v",
    "grad_b": "G.sum(axis=(0, 1, 2))",
}

_POOLS = """
def blur_pool(X):
    {blur}


def smooth_max_pool(X):
    {dense}
    return blur_pool({maxima})
"""
_RIGHT_POOLS = {
    "blur": """for axis in (1, 2):
        X = (np.roll(X, 1, axis) + 2 * X + np.roll(X, -1, axis)) / 4
    return X[:, ::2, ::2]""",
    "dense": """for axis in (1, 2):
        X = np.maximum(X, np.roll(X, -1, axis))""",
    "maxima": "X",
}

_FLICKER = """
def flicker(features, X):
    before, after = features(X), features(np.roll(X, {step}, axis=2))
    return float({result})
"""

_READER = """
def build_reader(size, classes):
    picture = layers.Input(({size}, {size}, 3))
    x = layers.Conv2D({filters}, 3, strides={stride}, padding="same", activation="relu")(picture)
    branch = layers.Conv2D({filters}, 3, padding="same", activation="relu")(x)
    branch = layers.Conv2D({filters}, 3, padding="same")(branch)
    x = layers.ReLU()({join})
    x = layers.{head}()(x)
    return keras.Model(picture, layers.Dense(classes{activation})(x))
"""
_RIGHT_READER = {
    "size": "size",
    "filters": "16",
    "stride": "2",
    "join": "layers.Add()([x, branch])",
    "head": "GlobalAveragePooling2D",
    "activation": "",
}

_INSTRUMENTS = """
def occlusion(predict, picture, label, patch, stride, fill):
    tops = range(0, {rows}, stride)
    lefts = range(0, picture.shape[1] - patch + 1, stride)
    covered = np.repeat(picture[None], len(tops) * len(lefts), axis=0)
    for n, (top, left) in enumerate((top, left) for top in tops for left in lefts):
        covered[n, top : top + patch, left : left + patch] = {fill}
    falls = {falls}
    return falls.reshape({shape})


def transplant(predict, pictures, labels, box):
    top, left, bottom, right = box
    donors, donor_labels = np.roll(pictures, -1, axis=0), np.roll(labels, -1)
    mixed = pictures.copy()
    mixed[:, top:bottom, left:right] = donors[:, top:bottom, left:right]
    differ = {differ}
    predicted = predict(mixed).argmax(axis=1)[differ]
    moved = float(np.mean(predicted == donor_labels[differ]))
    return moved, {kept}
"""
_RIGHT_INSTRUMENTS = {
    "rows": "picture.shape[0] - patch + 1",
    "fill": "fill",
    "falls": "predict(picture[None])[0, label] - predict(covered)[:, label]",
    "shape": "len(tops), len(lefts)",
    "differ": "donor_labels != labels",
    "kept": "float(np.mean(predicted == labels[differ]))",
}


def _trace(**parts: str) -> dict[str, str]:
    return {"trace": _TRACE.format(**_RIGHT_TRACE | parts)}


def _depthwise(term: str = _TERM, prepare: str = "pass") -> dict[str, str]:
    return {"depthwise": _DEPTHWISE.format(term=term, prepare=prepare)}


def _backward(**parts: str) -> dict[str, str]:
    return {"depthwise-backward": _BACKWARD.format(**_RIGHT_BACKWARD | parts)}


def _pools(**parts: str) -> dict[str, str]:
    return {"the-pooling": _POOLS.format(**_RIGHT_POOLS | parts)}


def _flicker(result: str, step: int = 1) -> dict[str, str]:
    return {"the-flicker": _FLICKER.format(result=result, step=step)}


def _reader(**parts: str) -> dict[str, str]:
    return {"build-reader": _READER.format(**_RIGHT_READER | parts)}


def _instruments(**parts: str) -> dict[str, str]:
    return {"the-instruments": _INSTRUMENTS.format(**_RIGHT_INSTRUMENTS | parts)}


_EACH = "np.mean(np.linalg.norm(after - before, axis=1) / np.linalg.norm(before, axis=1))"

CASES = {
    "trace: dilation ignored": (
        _trace(
            size="(size + 2 * p - k) // s + 1",
            field="(k - 1) * distance",
            centre="((k - 1) / 2 - p) * distance",
        ),
        {"test-trace-sizes": 0, "test-trace-fields": 0, "test-trace-centres": 0},
        "your size ignores the dilation",
    ),
    "trace: sizes rounded up": (
        _trace(size="-(-(size + 2 * p - r * (k - 1) - 1) // s) + 1"),
        {"test-trace-sizes": 0},
        "you round up",
    ),
    "trace: a layer's own stride widens it": (
        _trace(before="distance *= s", after="pass"),
        {"test-trace-fields": 0, "test-trace-centres": 0},
        "it acts from the next layer on",
    ),
    "trace: strides do not multiply": (
        _trace(after="distance = s"),
        {"test-trace-fields": 0, "test-trace-centres": 0},
        "Strides multiply from layer to layer",
    ),
    "trace: distances of the layer below": (
        {
            "trace": _TRACE.format(
                **_RIGHT_TRACE | {"after": "below, distance = distance, distance * s"}
            ).replace("(size, field, distance, centre)", "(size, field, below, centre)")
        },
        {"test-trace-fields": 0},
        "a layer's own stride is missing",
    ),
    "trace: centre without padding": (
        _trace(centre="r * (k - 1) / 2 * distance"),
        {"test-trace-centres": 0},
        "With padding 1 unit 0 looks at the pixels -1, 0 and 1",
    ),
    "trace: centre counted in units": (
        _trace(centre="r * (k - 1) / 2 - p"),
        {"test-trace-centres": 0},
        "its units are two pixels apart",
    ),
    "depthwise: flipped filter": (
        _depthwise(prepare="W = W[::-1, ::-1]"),
        {
            "test-depthwise-value": 0,
            "test-depthwise-strides": 0,
            "test-depthwise-beside-keras": 0,
        },
        "the filter was flipped",
    ),
    "depthwise: channels added": (
        _depthwise(term=f"({_TERM}).sum(axis=3, keepdims=True)"),
        {"test-depthwise-channels": 0, "test-depthwise-strides": 0, "test-depthwise-beside-keras": 0},
        "the channels were added",
    ),
    "depthwise: stride ignored inside the window": (
        _depthwise(term="X[:, u : u + rows, v : v + columns] * W[u, v]"),
        {"test-depthwise-strides": 0, "test-depthwise-beside-keras": 0},
        "not at 0, 2 and 4",
    ),
    "backward: mean over the batch": (
        _backward(total="mean", grad_b="G.mean(axis=(0, 1, 2))"),
        {"test-backward-bias": 0, "test-backward-filters": 0},
        "grad_b is a mean",
    ),
    "backward: biases of one picture": (
        _backward(grad_b="G[0].sum(axis=(0, 1))"),
        {"test-backward-bias": 0},
        "the other pictures are missing",
    ),
    "backward: filters flipped": (
        _backward(at="k - 1 - u, k - 1 - v"),
        {"test-backward-filters": 0},
        "the right window, but flipped",
    ),
    "backward: pictures flipped": (
        _backward(weight="k - 1 - u, k - 1 - v"),
        {"test-backward-pictures": 0},
        "The filter is flipped where you lay it down",
    ),
    "backward: overlaps overwrite": (
        _backward(gather="="),
        {"test-backward-pictures": 0},
        "erase what an earlier one has laid down",
    ),
    "pool: no blur": (
        _pools(blur="return X[:, ::2, ::2]"),
        {"test-blur-stripes": 0, "test-blur-values": 0, "test-smooth-max": 0},
        "they were not blurred",
    ),
    "pool: mean of four pixels": (
        _pools(blur="return (X[:, ::2, ::2] + X[:, 1::2, ::2] + X[:, ::2, 1::2] + X[:, 1::2, 1::2]) / 4"),
        {"test-blur-values": 0, "test-smooth-max": 0},
        "a mean of 2 x 2 pixels",
    ),
    "pool: zeros outside instead of a ring": (
        _pools(
            blur="""X = np.pad(X, ((0, 0), (1, 1), (1, 1), (0, 0)))
    X = (X[:, :-2] + 2 * X[:, 1:-1] + X[:, 2:]) / 4
    X = (X[:, :, :-2] + 2 * X[:, :, 1:-1] + X[:, :, 2:]) / 4
    return X[:, ::2, ::2]"""
        ),
        {"test-blur-stripes": 0, "test-blur-values": 0, "test-smooth-max": 0},
        "not one half everywhere",
    ),
    "pool: maxima thinned out first": (
        _pools(
            dense="""X = np.maximum(X, np.roll(X, -1, 1))
    X = np.maximum(X, np.roll(X, -1, 2))[:, ::2, ::2]
    for axis in (1, 2):
        X = (np.roll(X, 1, axis) + 2 * X + np.roll(X, -1, axis)) / 4
    return X"""
        ),
        {"test-smooth-max": 0},
        "The maxima were thinned out before the blur",
    ),
    "pool: no maximum": (_pools(dense="pass"), {"test-smooth-max": 0}, "Every 2 x 2 window of the stripes"),
    "flicker: not relative": (
        _flicker("np.mean(np.linalg.norm(after - before, axis=1))"),
        {"test-flicker": 0},
        "not divided by the length",
    ),
    "flicker: to the left": (_flicker(_EACH, step=-1), {"test-flicker": 0}, "moved to the left"),
    "flicker: whole batch at once": (
        _flicker("np.linalg.norm(after - before) / np.linalg.norm(before)"),
        {"test-flicker": 0},
        "divide picture by picture",
    ),
    "reader: probabilities": (
        _reader(activation=', activation="softmax"'),
        {"test-reader-form": 0},
        "these are probabilities",
    ),
    "reader: flattened map": (
        _reader(head="Flatten"),
        {"test-reader-parameters": 0, "test-reader-larger-pictures": 0},
        "Does a dense layer follow a flattened map?",
    ),
    "reader: too much work": (
        _reader(filters="24", stride="1"),
        {"test-reader-multiply-adds": 0},
        "the camera has time for 4 million",
    ),
    "reader: no skip": (_reader(join="branch"), {"test-reader-skip": 0}, "where is the skip connection"),
    "reader: size ignored": (
        _reader(size="32"),
        {"test-reader-larger-pictures": 0},
        "size has no effect",
    ),
    "train: nothing trained": (
        {"the-reader": "reader = build_reader(32, 6)\nreader.layers[-1].bias.assign([9, 0, 0, 0, 0, 0])"},
        dict.fromkeys(_TRAINED, 0),
        "takes every piece for a circle",
    ),
    "train: given up": (
        {"the-reader": "reader = None"},
        dict.fromkeys(_TRAINED, 0),
        "reader is still None",
    ),
    "occlusion: rise instead of fall": (
        _instruments(falls="predict(covered)[:, label] - predict(picture[None])[0, label]"),
        {"test-occlusion-values": 0, "test-occlusion-places": 0},
        "yours rises",
    ),
    "occlusion: always black": (
        _instruments(fill="0.0"),
        {"test-occlusion-values": 0},
        "Covering the four bright pixels with 0.25",
    ),
    "occlusion: map turned": (
        _instruments(shape="len(lefts), len(tops)"),
        {"test-occlusion-places": 0},
        "make 3 rows of 4 places",
    ),
    "occlusion: last place forgotten": (
        _instruments(rows="picture.shape[0] - patch"),
        {"test-occlusion-places": 0, "test-occlusion-calls": 0},
        "make 3 rows of 4 places",
    ),
    "occlusion: a call for each place": (
        _instruments(
            falls="predict(picture[None])[0, label] - np.array([predict(c[None])[0, label] for c in covered])"
        ),
        {"test-occlusion-calls": 0},
        "send all covered pictures together",
    ),
    "transplant: all pictures count": (
        _instruments(differ="np.full(len(labels), True)"),
        {"test-transplant": 0},
        "not 1 and 0",
    ),
    "transplant: the rest keeps its label": (
        _instruments(kept="1 - moved"),
        {"test-transplant": 0},
        "counts for neither share",
    ),
}
