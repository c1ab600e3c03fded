"""Interactive figures that compute in the browser: JupyterLab, Colab and the static book show the same one.

``from course_utils.explorables import PerceptronBoard``; the last expression of a cell displays it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_LAZY = {
    "ActivationExplorer": "activation_explorer",
    "AlignmentViewer": "alignment_viewer",
    "ArchitectureCalculator": "architecture_calculator",
    "AttentionEditor": "attention_editor",
    "ChainRule": "chain_rule",
    "DropoutViewer": "dropout_viewer",
    "FeatureBrowser": "feature_browser",
    "GateViewer": "gate_viewer",
    "GraphStepper": "graph_stepper",
    "KernelPainter": "kernel_painter",
    "LabelBudgetChart": "label_budget_chart",
    "LossExplorer": "loss_explorer",
    "MatrixViewer": "matrix_viewer",
    "NextTokenLab": "next_token_lab",
    "NormalizationViewer": "normalization_viewer",
    "OptimizerRace": "optimizer_race",
    "OverfittingLab": "overfitting_lab",
    "PerceptronBoard": "perceptron_board",
    "Playground": "playground",
    "PositionalEncodingViewer": "positional_encoding_viewer",
    "Quiz": "quiz",
    "RNNUnroller": "rnn_unroller",
    "ReceptiveField": "receptive_field",
    "SamplingLab": "sampling_lab",
    "SchedulePainter": "schedule_painter",
    "SignalPropagation": "signal_propagation",
    "TrainingDoctor": "training_doctor",
    "TransformerTracer": "transformer_tracer",
}

__all__ = [
    "ActivationExplorer",
    "AlignmentViewer",
    "ArchitectureCalculator",
    "AttentionEditor",
    "ChainRule",
    "DropoutViewer",
    "FeatureBrowser",
    "GateViewer",
    "GraphStepper",
    "KernelPainter",
    "LabelBudgetChart",
    "LossExplorer",
    "MatrixViewer",
    "NextTokenLab",
    "NormalizationViewer",
    "OptimizerRace",
    "OverfittingLab",
    "PerceptronBoard",
    "Playground",
    "PositionalEncodingViewer",
    "Quiz",
    "RNNUnroller",
    "ReceptiveField",
    "SamplingLab",
    "SchedulePainter",
    "SignalPropagation",
    "TrainingDoctor",
    "TransformerTracer",
]

if TYPE_CHECKING:
    from course_utils.explorables.activation_explorer import ActivationExplorer
    from course_utils.explorables.alignment_viewer import AlignmentViewer
    from course_utils.explorables.architecture_calculator import ArchitectureCalculator
    from course_utils.explorables.attention_editor import AttentionEditor
    from course_utils.explorables.chain_rule import ChainRule
    from course_utils.explorables.dropout_viewer import DropoutViewer
    from course_utils.explorables.feature_browser import FeatureBrowser
    from course_utils.explorables.gate_viewer import GateViewer
    from course_utils.explorables.graph_stepper import GraphStepper
    from course_utils.explorables.kernel_painter import KernelPainter
    from course_utils.explorables.label_budget_chart import LabelBudgetChart
    from course_utils.explorables.loss_explorer import LossExplorer
    from course_utils.explorables.matrix_viewer import MatrixViewer
    from course_utils.explorables.next_token_lab import NextTokenLab
    from course_utils.explorables.normalization_viewer import NormalizationViewer
    from course_utils.explorables.optimizer_race import OptimizerRace
    from course_utils.explorables.overfitting_lab import OverfittingLab
    from course_utils.explorables.perceptron_board import PerceptronBoard
    from course_utils.explorables.playground import Playground
    from course_utils.explorables.positional_encoding_viewer import PositionalEncodingViewer
    from course_utils.explorables.quiz import Quiz
    from course_utils.explorables.receptive_field import ReceptiveField
    from course_utils.explorables.rnn_unroller import RNNUnroller
    from course_utils.explorables.sampling_lab import SamplingLab
    from course_utils.explorables.schedule_painter import SchedulePainter
    from course_utils.explorables.signal_propagation import SignalPropagation
    from course_utils.explorables.training_doctor import TrainingDoctor
    from course_utils.explorables.transformer_tracer import TransformerTracer


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
