"""How does a gradient find its way back? A typed expression as a graph, computed forward and differentiated backward.

The functions in this module are the Python twins of those in ``graph_stepper.js``; the tests compare both with
each other and with finite differences.
"""

from __future__ import annotations

import ast
import html
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import traitlets

from course_utils.explorables._base import BLUE, GREY, ORANGE, Explorable, svg_document

MAX_OPERATIONS, MAX_VARIABLES = 14, 6
_SYMBOLS = {"add": "+", "subtract": "−", "multiply": "×", "divide": "÷", "negate": "−( )"}
_BINARY = {ast.Add: "add", ast.Sub: "subtract", ast.Mult: "multiply", ast.Div: "divide"}


def _sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a)) if a >= 0 else math.exp(a) / (1 + math.exp(a))


# function -> (value, derivative); at the kink of ReLU the derivative is 0, as in TensorFlow
FUNCTIONS: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "exp": (math.exp, math.exp),
    "log": (math.log, lambda a: 1 / a),
    "sin": (math.sin, math.cos),
    "cos": (math.cos, lambda a: -math.sin(a)),
    "tanh": (math.tanh, lambda a: 1 - math.tanh(a) ** 2),
    "sigmoid": (_sigmoid, lambda a: _sigmoid(a) * _sigmoid(-a)),
    "relu": (lambda a: max(0.0, a), lambda a: 1.0 if a > 0 else 0.0),
    "sqrt": (math.sqrt, lambda a: 0.5 / math.sqrt(a)),
}


@dataclass
class Node:
    """One number of the computation: a variable, a constant, or the result of an operation on others."""

    kind: str  # "variable", "constant", "power", a name of _SYMBOLS or of FUNCTIONS
    label: str
    args: list[int] = field(default_factory=list)
    number: float = 0.0  # the constant, or the exponent of a power

    @property
    def is_leaf(self) -> bool:
        return not self.args


def parse(expression: str) -> list[Node]:
    """The nodes of an expression, every node after its arguments; a variable is one node however often used.

    Allowed are numbers, names, ``+ - * /``, ``**`` with a number as exponent, brackets, and the functions
    in ``FUNCTIONS``.

    Raises
    ------
    ValueError
        If the expression says anything else, or is too large to draw; the message is one sentence.
    """
    nodes: list[Node] = []
    variables: dict[str, int] = {}

    def put(node: Node) -> int:
        nodes.append(node)
        return len(nodes) - 1

    def visit(tree: ast.AST) -> int:
        match tree:
            case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
                return put(Node("constant", f"{number:g}", number=float(number)))
            case ast.Name(id=name) if name not in FUNCTIONS:
                if name not in variables:
                    variables[name] = put(Node("variable", name))
                return variables[name]
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                base, exponent = visit(left), _exponent(right)
                return put(Node("power", f"( ) ^ {exponent:g}".replace("-", "−"), [base], exponent))
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
                kind = _BINARY[type(op)]
                first, second = visit(left), visit(right)
                return put(Node(kind, _SYMBOLS[kind], [first, second]))
            case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
                return put(Node("constant", f"−{number:g}", number=-float(number)))
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return put(Node("negate", _SYMBOLS["negate"], [visit(operand)]))
            case ast.Call(func=ast.Name(id=name), args=[argument], keywords=[]) if name in FUNCTIONS:
                return put(Node(name, name, [visit(argument)]))
            case ast.Call(func=ast.Name(id=name)):
                raise ValueError(
                    f"There is no function {name!r} of one number; there are {', '.join(FUNCTIONS)}."
                )
        raise ValueError(
            f"{ast.unparse(tree)!r} cannot be used here: write numbers, names, + - * / ** and functions."
        )

    try:
        tree = ast.parse(expression.strip(), mode="eval").body
    except (SyntaxError, ValueError):
        raise ValueError(f"{expression!r} is not a complete expression.") from None
    visit(tree)
    operations = sum(not node.is_leaf for node in nodes)
    if not operations:
        raise ValueError("An expression needs at least one operation.")
    if operations > MAX_OPERATIONS or len(variables) > MAX_VARIABLES:
        raise ValueError(
            f"The graph can hold {MAX_OPERATIONS} operations and {MAX_VARIABLES} variables, "
            f"and this has {operations} and {len(variables)}."
        )
    return nodes


def _exponent(tree: ast.AST) -> float:
    try:
        return float(ast.literal_eval(tree))
    except (ValueError, TypeError, SyntaxError):
        raise ValueError("An exponent has to be a number, as in x**2.") from None


def _value(node: Node, inputs: list[float]) -> float:
    try:
        match node.kind:
            case "add":
                return inputs[0] + inputs[1]
            case "subtract":
                return inputs[0] - inputs[1]
            case "multiply":
                return inputs[0] * inputs[1]
            case "divide":
                return inputs[0] / inputs[1]
            case "negate":
                return -inputs[0]
            case "power":
                result = inputs[0] ** node.number
                return result if isinstance(result, float) else math.nan
        return float(FUNCTIONS[node.kind][0](inputs[0]))
    except (ArithmeticError, ValueError):
        return math.nan


def local_derivatives(node: Node, inputs: list[float]) -> list[float]:
    """The derivative of a node's value by each of its arguments."""
    try:
        match node.kind:
            case "add":
                return [1.0, 1.0]
            case "subtract":
                return [1.0, -1.0]
            case "multiply":
                return [inputs[1], inputs[0]]
            case "divide":
                return [1 / inputs[1], -inputs[0] / inputs[1] ** 2]
            case "negate":
                return [-1.0]
            case "power":
                slope = node.number * inputs[0] ** (node.number - 1)
                return [slope if isinstance(slope, float) else math.nan]
        return [float(FUNCTIONS[node.kind][1](inputs[0]))]
    except (ArithmeticError, ValueError):
        return [math.nan] * len(node.args)


def last_step(nodes: list[Node]) -> int:
    """Number of steps: one per operation forward, one for the 1 at the end, one per operation backward."""
    return 2 * sum(not node.is_leaf for node in nodes) + 1


def run(
    nodes: list[Node], values: Mapping[str, float], step: int | None = None
) -> tuple[list[float | None], list[float | None]]:
    """Values and gradients of all nodes after a number of steps; what has not been reached is None.

    The gradient of a node is the derivative of the last node's value by this node's, summed over the paths
    that have been walked so far.
    """
    step = last_step(nodes) if step is None else step
    found: list[float | None] = [None] * len(nodes)
    gradients: list[float | None] = [None] * len(nodes)
    operations = [i for i, node in enumerate(nodes) if not node.is_leaf]
    for i, node in enumerate(nodes):
        if node.kind == "variable":
            found[i] = float(values[node.label])
        elif node.kind == "constant":
            found[i] = node.number
    for i in operations[: max(0, step)]:
        found[i] = _value(nodes[i], [found[a] for a in nodes[i].args])
    if step > len(operations):
        gradients[-1] = 1.0
    for i in operations[::-1][: max(0, step - len(operations) - 1)]:
        slopes = local_derivatives(nodes[i], [found[a] for a in nodes[i].args])
        for a, slope in zip(nodes[i].args, slopes, strict=True):
            gradients[a] = (gradients[a] or 0.0) + gradients[i] * slope
    return found, gradients


def layout(nodes: list[Node]) -> list[tuple[int, float]]:
    """Level (0: the first inputs) and place across, centred on 0, of every node."""
    level, order, leaf = [0] * len(nodes), [0.0] * len(nodes), 0
    for i, node in enumerate(nodes):
        if node.is_leaf:
            order[i] = leaf
            leaf += 1
        else:
            level[i] = 1 + max(level[a] for a in node.args)
            order[i] = sum(order[a] for a in node.args) / len(node.args)
    for i, node in enumerate(nodes):
        if node.is_leaf:  # an input stands right before the first operation that uses it
            level[i] = min(level[j] for j, other in enumerate(nodes) if i in other.args) - 1
    places: list[tuple[int, float]] = [(0, 0.0)] * len(nodes)
    for n in range(max(level) + 1):
        row = sorted((i for i in range(len(nodes)) if level[i] == n), key=lambda i: (order[i], i))
        for k, i in enumerate(row):
            places[i] = (n, k - (len(row) - 1) / 2)
    return places


def number(x: float | None) -> str:
    """A number for the picture: three digits, a real minus sign, nothing for None."""
    if x is None:
        return ""
    if not math.isfinite(x):
        return "not a number" if math.isnan(x) else ("∞" if x > 0 else "−∞")
    return f"{x:.3g}".replace("-", "−") if x else "0"


class GraphStepper(Explorable):
    """How does a gradient find its way back?

    The expression is drawn as a graph of elementary operations. Steps first compute the values from left to
    right, then hand the gradient back from right to left: each operation multiplies what it receives by its
    local derivative, and where a value was used twice the contributions add up. Inputs can be edited at any
    step.

    Parameters
    ----------
    expression : str
        Numbers, names, ``+ - * /``, ``**`` with a number, brackets, and exp, log, sin, cos, tanh, sigmoid,
        relu, sqrt.
    step : int, optional
        Where to open; by default when all values are there and the gradient is about to start.
    **values : float
        The variables' values; those not given are 1.
    """

    _js = "graph_stepper.js"

    expression = traitlets.Unicode("(sigmoid(w*x + b) - y)**2").tag(sync=True)
    values = traitlets.Dict().tag(sync=True)
    step = traitlets.Int(0).tag(sync=True)

    def __init__(
        self, expression: str = "(sigmoid(w*x + b) - y)**2", step: int | None = None, **values: float
    ) -> None:
        nodes = self._nodes(expression)
        names = [node.label for node in nodes if node.kind == "variable"]
        for name, value in values.items():
            if name not in names:
                raise traitlets.TraitError(f"{name} does not occur in {expression!r}.")
            if not isinstance(value, (int, float)) or not math.isfinite(value):
                raise traitlets.TraitError(f"{name} must be a finite number, not {value!r}.")
        if step is None:
            step = last_step(nodes) // 2 + 1
        filled = {name: float(values.get(name, 1.0)) for name in names}
        super().__init__(expression=expression, values=filled, step=step)

    @staticmethod
    def _nodes(expression: str) -> list[Node]:
        try:
            return parse(expression)
        except ValueError as error:
            raise traitlets.TraitError(str(error)) from None

    @traitlets.validate("expression")
    def _readable(self, proposal: Any) -> str:
        self._nodes(proposal["value"])
        return proposal["value"]

    @traitlets.validate("step")
    def _in_range(self, proposal: Any) -> int:
        last = last_step(parse(self.expression))
        if not 0 <= proposal["value"] <= last:
            raise traitlets.TraitError(f"step must lie between 0 and {last}, not {proposal['value']}.")
        return proposal["value"]

    @property
    def description(self) -> str:
        nodes = parse(self.expression)
        values, _ = run(nodes, self.values)
        _, gradients = run(nodes, self.values, self.step)
        given = ", ".join(f"{name} = {value:g}" for name, value in self.values.items())
        reached = [
            f"{node.label}: {number(g)}"
            for node, g in zip(nodes, gradients, strict=True)
            if node.kind == "variable" and g is not None
        ]
        text = (
            f"The computation graph of {self.expression} with {given}: inputs, operations in the order they are "
            f"computed, and the result {number(values[-1])}. "
        )
        if reached:
            return text + f"The gradient has come back to {', '.join(reached)}."
        return text + "The gradient starts with 1 at the result and will be handed back from there."

    def preview(self) -> str:
        nodes, places = parse(self.expression), layout(parse(self.expression))
        values, gradients = run(nodes, self.values, self.step)
        across = max(abs(c) for _, c in places)
        levels = max(level for level, _ in places)
        gap, row = 116, 86
        width, height = 110 + gap * levels, 130 + 2 * across * row

        def at(i: int) -> tuple[float, float]:
            return 55 + gap * places[i][0], 74 + (places[i][1] + across) * row

        body = [
            '<text x="16" y="24" font-size="15">How does a gradient find its way back?</text>',
        ]
        for i, node in enumerate(nodes):
            for a in node.args:
                (x1, y1), (x2, y2) = at(a), at(i)
                bow = -0.8 * row if places[i][0] - places[a][0] > 1 else 0
                body.append(
                    f'<path d="M{x1:.0f} {y1:.0f}Q{(x1 + x2) / 2:.0f} {(y1 + y2) / 2 + bow:.0f} {x2:.0f} {y2:.0f}" '
                    f'fill="none" stroke="{GREY}"/>'
                )
        for i, node in enumerate(nodes):
            x, y = at(i)
            dash = ' stroke-dasharray="4 3"' if node.kind == "constant" else ""
            fill = "#f5f7f9" if node.is_leaf else "#fff"
            body.append(
                f'<rect x="{x - 38:.0f}" y="{y - 29:.0f}" width="76" height="58" rx="7" fill="{fill}" '
                f'stroke="#444"{dash}/><g text-anchor="middle">'
                f'<text x="{x:.0f}" y="{y - 11:.0f}" font-weight="bold">{html.escape(node.label)}</text>'
                f'<text x="{x:.0f}" y="{y + 6:.0f}" fill="{BLUE}">{number(values[i])}</text>'
            )
            if gradients[i] is not None and node.kind != "constant":
                body.append(
                    f'<text x="{x:.0f}" y="{y + 23:.0f}" fill="#8A5C00">∂ {number(gradients[i])}</text>'
                )
            body.append("</g>")
        body.append(
            f'<text x="16" y="{height - 12:.0f}" font-size="12"><tspan fill="{BLUE}">value</tspan> and '
            f'<tspan fill="{ORANGE}">∂</tspan> derivative of the result by it</text>'
        )
        return svg_document(max(width, 330), height, "".join(body))
