"""What does a filter see? A small grid of weights slides over a picture; the output appears place by place.

The functions in this module are the NumPy twins of those in ``kernel_painter.js``; the tests compare both
with each other and with Keras. Convolution is cross-correlation here, as in every framework: the filter is
not flipped.
"""

from __future__ import annotations

import base64
import functools
import struct
import zlib
from typing import Any

import numpy as np
import traitlets
from numpy.typing import ArrayLike, NDArray

from course_utils.explorables._base import BLUE, GREY, ORANGE, RED, Explorable, svg_document

LIMIT = 30.0  # every weight lies between -LIMIT and LIMIT
SIZES = (3, 5)
MAX_STRIDE = MAX_DILATION = 4
MAX_SIDE = 64  # pixels of a learner's own image
PADDINGS = ("valid", "same")
VIEWS = ("auto", "signed", "grey", "picture")
IMAGES = ("photo", "shape", "stripes")


def _presets() -> dict[str, dict[int, list[list[float]]]]:
    one, binomial, edge = np.eye(5)[2], np.array([1, 4, 6, 4, 1]), np.array([-1, -1, 0, 1, 1])
    smooth = np.outer(binomial, binomial) / 256
    slope = np.add.outer(np.arange(-2, 3), np.arange(-2, 3))
    emboss5 = np.clip(slope, -2, 2)
    emboss5[2, 2] = 1
    emboss3 = np.add.outer(np.arange(-1, 2), np.arange(-1, 2))
    emboss3[1, 1] = 1
    cross = np.array([[0, 1, 0], [1, -4, 1], [0, 1, 0]])
    diamond = np.array(
        [[0, 0, 1, 0, 0], [0, 1, 2, 1, 0], [1, 2, -16, 2, 1], [0, 1, 2, 1, 0], [0, 0, 1, 0, 0]]
    )
    outer3, outer5 = -np.ones((3, 3)), -np.ones((5, 5))
    outer3[1, 1], outer5[2, 2] = 8, 24
    sobel = np.outer([1, 2, 1], [-1, 0, 1])
    sobel5 = np.outer([1, 2, 3, 2, 1], edge)
    arrays = {
        "identity": (np.outer(np.eye(3)[1], np.eye(3)[1]), np.outer(one, one)),
        "box blur": (np.full((3, 3), 1 / 9), np.full((5, 5), 1 / 25)),
        "Gaussian blur": (np.outer([1, 2, 1], [1, 2, 1]) / 16, smooth),
        "sharpen": (np.outer(np.eye(3)[1], np.eye(3)[1]) - cross, 2 * np.outer(one, one) - smooth),
        "vertical edge": (sobel, sobel5),
        "horizontal edge": (sobel.T, sobel5.T),
        "Laplacian": (cross, diamond),
        "outline": (outer3, outer5),
        "emboss": (emboss3, emboss5),
    }
    return {
        name: {k: np.asarray(a, dtype=float).tolist() for k, a in zip(SIZES, pair, strict=True)}
        for name, pair in arrays.items()
    }


PRESETS = _presets()  # name -> {3: rows of the 3 x 3 filter, 5: rows of the 5 x 5 filter}


def pad_widths(
    length: int, kernel: int, stride: int = 1, padding: str = "valid", dilation: int = 1
) -> tuple[int, int]:
    """Zeros before and after one axis, in pixels, as Keras puts them ("same": an odd one comes after)."""
    if padding == "valid":
        return 0, 0
    if padding != "same":
        raise ValueError(f'padding must be "valid" or "same", not {padding!r}.')
    out = -(-length // stride)
    total = max((out - 1) * stride + dilation * (kernel - 1) + 1 - length, 0)
    return total // 2, total - total // 2


def output_size(
    length: int, kernel: int, stride: int = 1, padding: str | int = "valid", dilation: int = 1
) -> int:
    """Places along one axis: floor((H + p_before + p_after - r (k - 1) - 1) / s) + 1, never below 0.

    Parameters
    ----------
    length : pixels along the axis, H
    kernel, stride, dilation : k, s and r
    padding : "valid", "same", or the number p of zeros on each side

    Raises
    ------
    ValueError
        If ``padding`` is another word.
    """
    if isinstance(padding, str):
        before, after = pad_widths(length, kernel, stride, padding, dilation)
    else:
        before = after = padding
    return max((length + before + after - dilation * (kernel - 1) - 1) // stride + 1, 0)


def convolve(
    image: ArrayLike, kernel: ArrayLike, stride: int = 1, padding: str = "valid", dilation: int = 1
) -> NDArray:
    """Slide a filter over a grey image.

    Parameters
    ----------
    image : (H, W)
    kernel : (k, k), not flipped
    stride, dilation : s and r, at least 1
    padding : "valid" or "same", as in Keras

    Returns
    -------
    (H', W') array of float64, where H' and W' come from :func:`output_size`; empty if the window
    does not fit.

    Raises
    ------
    ValueError
        If ``padding`` is another word.
    """
    X, W = np.asarray(image, dtype=float), np.asarray(kernel, dtype=float)
    k = len(W)
    X = np.pad(X, [pad_widths(n, k, stride, padding, dilation) for n in X.shape])
    rows, columns = (output_size(n, k, stride, "valid", dilation) for n in X.shape)
    Z = np.zeros((rows, columns))
    if not Z.size:
        return Z
    for u in range(k):
        for v in range(k):
            top, left = dilation * u, dilation * v
            part = X[
                top : top + stride * (rows - 1) + 1 : stride,
                left : left + stride * (columns - 1) + 1 : stride,
            ]
            Z += W[u, v] * part
    return Z


def window(
    image: ArrayLike,
    size: int,
    place: tuple[int, int],
    stride: int = 1,
    padding: str = "valid",
    dilation: int = 1,
) -> NDArray:
    """The (k, k) pixels under the filter at one place (i, j) of the output; zeros on the padding."""
    X = np.asarray(image, dtype=float)
    X = np.pad(X, [pad_widths(n, size, stride, padding, dilation) for n in X.shape])
    rows, columns = (p * stride + dilation * np.arange(size) for p in place)
    return X[np.ix_(rows, columns)]


def shown_as(kernel: ArrayLike, view: str = "auto") -> str:
    """How the output is painted; "auto": as a picture if the weights sum to about 1, else by sign."""
    if view != "auto":
        return view
    return "picture" if abs(float(np.sum(np.asarray(kernel, dtype=float))) - 1) < 0.05 else "signed"


def _eight_bit(image: NDArray) -> list[list[int]]:
    return np.rint(255 * image).astype(int).tolist()


@functools.cache
def _photo() -> NDArray:
    """(48, 48), 0 to 1: the temple's roofs from the course's photographs, in grey, five times smaller."""
    from course_utils.data import load

    part = load("photos").images[0, 24:264, 88:328] @ np.array([0.299, 0.587, 0.114]) / 255
    return part.reshape(48, 5, 48, 5).mean(axis=(1, 3))


def _shape() -> NDArray:
    """(32, 32), 0 to 1: a bright square before a grey disc on a dark ground, with soft edges on the disc."""
    y, x = np.mgrid[:32, :32]
    disc = np.clip(9.5 - np.hypot(y - 12.5, x - 19.5), 0, 1)
    image = 0.12 + 0.48 * disc
    image[15:27, 5:17] = 0.92
    return image


def _stripes() -> NDArray:
    """(32, 32), 0 to 1: upright, lying and oblique stripes and a chequerboard, a quarter of it each."""
    y, x = np.mgrid[:32, :32]
    quarters = [[x // 2 % 2, y // 2 % 2], [(x + y) // 3 % 2, (x // 4 + y // 4) % 2]]
    upper = np.where(x < 16, *quarters[0])
    return 0.1 + 0.8 * np.where(y < 16, upper, np.where(x < 16, *quarters[1]))


def _own(image: Any) -> NDArray:
    try:
        array = np.asarray(image, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("KernelPainter needs an image of numbers, of shape (H, W).") from None
    if array.ndim != 2:
        raise ValueError(f"KernelPainter needs a grey image of shape (H, W), not {array.shape}.")
    if not (min(array.shape) >= 3 and max(array.shape) <= MAX_SIDE):
        raise ValueError(
            f"KernelPainter takes images from 3 to {MAX_SIDE} pixels a side, not {array.shape}: "
            "cut out a part or shrink it."
        )
    if not np.isfinite(array).all() or array.min() < 0 or array.max() > 1:
        raise ValueError(
            "KernelPainter needs pixels from 0 (black) to 1 (white): divide 8-bit values by 255."
        )
    return array


def _weights(value: Any) -> list[list[float]]:
    try:
        array = np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise ValueError("KernelPainter needs a filter of numbers, of shape (3, 3) or (5, 5).") from None
    if array.shape not in {(k, k) for k in SIZES}:
        raise ValueError(f"KernelPainter paints filters of shape (3, 3) or (5, 5), not {array.shape}.")
    if not np.isfinite(array).all() or np.abs(array).max() > LIMIT:
        raise ValueError(f"KernelPainter needs weights between -{LIMIT:g} and {LIMIT:g}.")
    return array.tolist()


def _telling(image: NDArray, kernel: ArrayLike, *geometry: Any) -> tuple[int, int]:
    """The place of the largest output, in size, within the middle half of the output."""
    Z = np.abs(convolve(image, kernel, *geometry))
    top, left = (n // 4 for n in Z.shape)
    middle = Z[top : Z.shape[0] - top, left : Z.shape[1] - left]
    i, j = np.unravel_index(np.argmax(middle), middle.shape)
    return int(top + i), int(left + j)


def _whole(value: Any, name: str, top: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or not 1 <= value <= top:
        raise ValueError(f"KernelPainter needs a whole {name} from 1 to {top}, not {value!r}.")
    return int(value)


def _png(pixels: NDArray) -> str:
    """A data address of an RGB picture (H, W, 3) uint8."""
    height, width, _ = pixels.shape
    raw = b"".join(b"\0" + row.tobytes() for row in np.ascontiguousarray(pixels, dtype=np.uint8))

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    png = (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(raw, 9))
        + chunk(b"IEND", b"")
    )
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def _rgb(colour: str) -> NDArray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)


def _painted(Z: NDArray, view: str) -> NDArray:
    """Colours (H, W, 3) of an output: "picture" cuts at 0 and 1, the others have zero in the middle."""
    if view == "picture":
        return np.repeat(np.rint(255 * np.clip(Z, 0, 1))[..., None], 3, axis=2)
    share = (Z / max(float(np.abs(Z).max(initial=0)), 1e-9))[..., None]
    if view == "grey":
        return np.repeat(np.rint(127.5 * (1 + share)), 3, axis=2)
    white = _rgb("#FFFFFF")
    return np.rint(white + np.abs(share) * (np.where(share < 0, _rgb(ORANGE), _rgb(BLUE)) - white))


def _short(value: float) -> str:
    """At most three decimals, with a true minus sign: -0.111, 2, 0.5."""
    text = f"{abs(value):.3f}".rstrip("0").rstrip(".")
    return f"−{text}" if value < 0 and text != "0" else text


class KernelPainter(Explorable):
    """What does a filter see?

    Paint a 3 × 3 or 5 × 5 filter and watch it slide over a grey image: the figure shows the window, the k × k
    products and their sum at any place, and the whole output, while weights, stride, padding and dilation
    change. The image can be painted too.

    Parameters
    ----------
    image : "photo" (a crop of a photograph, 48 × 48), "shape" or "stripes" (32 × 32), or an array (H, W) with
        values 0 to 1, up to 64 × 64; kept with 8 bits a pixel
    kernel : name of a filter from :data:`PRESETS`, or an array of shape (3, 3) or (5, 5) with weights from
        -30 to 30
    stride, dilation : s and r, 1 to 4
    padding : "valid" or "same", as in Keras
    size : k, 3 or 5, of a filter called by its name
    place : (row, column) of the output place that is written out; default the strongest in the
        middle half
    view : how the output is painted: "signed" (orange below zero, blue above), "grey" (zero in the middle),
        "picture" (cut at 0 and 1), or "auto" (a picture if the weights sum to 1, else by sign)

    Raises
    ------
    ValueError
        For an unknown name, a wrong shape or value, and if the window is larger than the image.
    """

    _js = "kernel_painter.js"

    image = traitlets.Unicode("photo").tag(sync=True)
    images = traitlets.Dict().tag(sync=True)  # name -> rows of pixels, 0 to 255
    kernel = traitlets.List().tag(sync=True)
    stride = traitlets.Int(1).tag(sync=True)
    padding = traitlets.Unicode("valid").tag(sync=True)
    dilation = traitlets.Int(1).tag(sync=True)
    place = traitlets.List([0, 0]).tag(sync=True)
    view = traitlets.Unicode("auto").tag(sync=True)

    def __init__(
        self,
        image: str | ArrayLike = "photo",
        kernel: str | ArrayLike = "vertical edge",
        stride: int = 1,
        padding: str = "valid",
        dilation: int = 1,
        *,
        size: int = 3,
        place: tuple[int, int] | None = None,
        view: str = "auto",
        **kwargs: Any,
    ) -> None:
        if size not in SIZES:
            raise ValueError(f"KernelPainter paints filters of size 3 or 5, not {size!r}.")
        if isinstance(kernel, str):
            if kernel not in PRESETS:
                raise ValueError(f"There is no filter {kernel!r}; choose one of: {', '.join(PRESETS)}.")
            kernel = PRESETS[kernel][size]
        weights = _weights(kernel)
        stride, dilation = _whole(stride, "stride", MAX_STRIDE), _whole(dilation, "dilation", MAX_DILATION)
        if padding not in PADDINGS:
            raise ValueError(f'KernelPainter knows the paddings "valid" and "same", not {padding!r}.')
        if view not in VIEWS:
            raise ValueError(f"There is no view {view!r}; choose one of: {', '.join(VIEWS)}.")
        if isinstance(image, str) and image not in IMAGES:
            raise ValueError(
                f"There is no image {image!r}; choose one of {', '.join(IMAGES)}, or give an array."
            )
        pictures = {"photo": _photo(), "shape": _shape(), "stripes": _stripes()}
        if not isinstance(image, str):
            pictures["own"], image = _own(image), "own"
        shape = pictures[image].shape
        sizes = [output_size(n, len(weights), stride, padding, dilation) for n in shape]
        if min(sizes) < 1:
            span = dilation * (len(weights) - 1) + 1
            raise ValueError(
                f"The window of {span} × {span} pixels does not fit into the {shape[0]} × {shape[1]} image."
            )
        if place is None:
            place = _telling(np.rint(255 * pictures[image]) / 255, weights, stride, padding, dilation)
        elif len(place) != 2 or not all(0 <= p < n for p, n in zip(place, sizes, strict=True)):
            raise ValueError(
                f"place must lie within the output of {sizes[0]} × {sizes[1]}, not {tuple(place)}."
            )
        super().__init__(
            image=image,
            images={name: _eight_bit(picture) for name, picture in pictures.items()},
            kernel=weights,
            stride=stride,
            padding=padding,
            dilation=dilation,
            place=[int(p) for p in place],
            view=view,
            **kwargs,
        )

    @traitlets.validate("kernel")
    def _kernel_fits(self, proposal: Any) -> list[list[float]]:
        return _weights(proposal["value"])

    @traitlets.validate("stride", "dilation")
    def _whole_number(self, proposal: Any) -> int:
        return _whole(proposal["value"], proposal["trait"].name, MAX_STRIDE)

    @traitlets.validate("padding", "view")
    def _known(self, proposal: Any) -> str:
        name, known = proposal["trait"].name, {"padding": PADDINGS, "view": VIEWS}[proposal["trait"].name]
        if proposal["value"] not in known:
            raise ValueError(f"There is no {name} {proposal['value']!r}; choose one of: {', '.join(known)}.")
        return proposal["value"]

    @property
    def _geometry(self) -> tuple[int, str, int]:
        return self.stride, self.padding, self.dilation

    def pixels(self) -> NDArray:
        """The image (H, W), 0 to 1, as the figure holds it: with 8 bits a pixel."""
        return np.array(self.images[self.image], dtype=float) / 255

    def output(self) -> NDArray:
        """The output (H', W') of the present state."""
        return convolve(self.pixels(), self.kernel, *self._geometry)

    def _name(self) -> str:
        return next((n for n, sizes in PRESETS.items() if self.kernel in sizes.values()), "painted")

    @property
    def description(self) -> str:
        X, Z, k = self.pixels(), self.output(), len(self.kernel)
        rows = "; ".join(", ".join(_short(w) for w in row) for row in self.kernel)
        text = (
            f"A grey image of {X.shape[0]} by {X.shape[1]} pixels ({self.image}) and what a filter of {k} by "
            f"{k} makes of it ({self._name()}; rows {rows}), with stride {self.stride}, "
            f"padding {self.padding} and dilation {self.dilation}. "
        )
        if not Z.size:
            return text + "The window does not fit into the image, so nothing comes out."
        i, j = (min(p, n - 1) for p, n in zip(self.place, Z.shape, strict=True))
        how = {
            "signed": "orange below zero and blue above",
            "grey": "in grey with zero in the middle",
            "picture": "as a picture cut at 0 and 1",
        }[shown_as(self.kernel, self.view)]
        return (
            f"{text}The output has {Z.shape[0]} by {Z.shape[1]} values from {_short(Z.min())} to "
            f"{_short(Z.max())}, painted {how}. At row {i}, column {j} the products sum to {Z[i, j]:.2f}."
        )

    def preview(self) -> str:
        X, Z, k = self.pixels(), self.output(), len(self.kernel)
        view = shown_as(self.kernel, self.view)
        pads = [pad_widths(n, k, *self._geometry) for n in X.shape]
        cell = 288 / max(n + sum(p) for n, p in zip(X.shape, pads, strict=True))
        top, left, right = 62.0, 20.0, 452.0
        y0, x0 = top + cell * pads[0][0], left + cell * pads[1][0]
        (height, width), (out_height, out_width) = X.shape, Z.shape
        frame_w, frame_h = (
            cell * (n + sum(p)) for n, p in zip((width, height), (pads[1], pads[0]), strict=True)
        )

        def picture(pixels: NDArray, x: float, y: float) -> str:
            h, w, _ = pixels.shape
            return (
                f'<image x="{x:.2f}" y="{y:.2f}" width="{cell * w:.2f}" height="{cell * h:.2f}" '
                f'preserveAspectRatio="none" style="image-rendering:pixelated" href="{_png(pixels)}"/>'
            )

        body = [
            f'<text x="{left:g}" y="26" font-size="15">What does a filter see?</text>',
            f'<text x="{left:g}" y="52">input, {height} × {width}</text>',
            f'<text x="{right:g}" y="52">output, {out_height} × {out_width}</text>',
            f'<rect x="{left:g}" y="{top:g}" width="{frame_w:.1f}" height="{frame_h:.1f}" fill="#ececec" '
            f'stroke="{GREY}" stroke-dasharray="3 3"/>',
            picture(np.repeat(np.rint(255 * X)[..., None], 3, axis=2), x0, y0),
        ]
        if Z.size:
            i, j = (min(p, n - 1) for p, n in zip(self.place, Z.shape, strict=True))
            body.append(picture(_painted(Z, view), right, top))
            for x, y, side in (
                (
                    left + cell * self.stride * j,
                    top + cell * self.stride * i,
                    cell * (self.dilation * (k - 1) + 1),
                ),
                (right + cell * j, top + cell * i, cell),
            ):
                body.append(
                    f'<rect x="{x:.2f}" y="{y:.2f}" width="{side:.2f}" height="{side:.2f}" fill="none" '
                    f'stroke="#fff" stroke-width="5"/>'
                    f'<rect x="{x:.2f}" y="{y:.2f}" width="{side:.2f}" height="{side:.2f}" fill="none" '
                    f'stroke="{RED}" stroke-width="2.5"/>'
                )
            says = {
                "signed": "orange below 0, white 0, blue above 0",
                "grey": "dark below 0, middle grey 0, light above 0",
                "picture": "a picture, cut at 0 and 1",
            }[view]
            body.append(f'<text x="{right:g}" y="{top + 310:g}">{says}</text>')
            body.append(
                f'<text x="{right:g}" y="{top + 330:g}">here: {_short(round(float(Z[i, j]), 2))}</text>'
            )
        side = 96 / k
        middle = (left + 288 + right) / 2
        for u, row in enumerate(self.kernel):
            for v, w in enumerate(row):
                x, y = middle - 48 + side * v, top + 84 + side * u
                fill = "#fff" if w == 0 else "#DCECF6" if w > 0 else "#FBECCB"
                body.append(
                    f'<rect x="{x:.1f}" y="{y:.1f}" width="{side:.1f}" height="{side:.1f}" fill="{fill}" '
                    f'stroke="{GREY}"/>'
                    f'<text x="{x + side / 2:.1f}" y="{y + side / 2 + 4:.1f}" text-anchor="middle" '
                    f'font-size="{11 if k == 3 else 7}">{_short(w)}</text>'
                )
        body.append(f'<text x="{middle:g}" y="{top + 70:g}" text-anchor="middle">filter</text>')
        body.append(
            f'<text x="{left:g}" y="{top + 310:g}">stride {self.stride}, padding {self.padding}, '
            f"dilation {self.dilation}</text>"
        )
        return svg_document(right + 288 + 20, top + 344, "".join(body))
