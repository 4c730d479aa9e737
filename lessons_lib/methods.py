"""One table with the facts of the five methods; nothing else in the project repeats them.

The trainer, the comparison pages, the decision tree, the explorers and the tests read `METHODS`.
A method's loss function is the source of its defaults and of what it takes: `inputs` and
`hyperparameters[...].default` are read from its signature, so they cannot disagree with it. They are read from the
text of `losses.py`: whoever asks for facts alone, as the decision tree does, does not wait for torch.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Literal


@dataclass(frozen=True)
class Paper:
    """Where a method comes from: first version's date, published venue, and the equation of its loss."""

    authors: str
    title: str
    arxiv: str
    first_version: str  # ISO date of arXiv v1
    venue: str
    equation: str


@dataclass(frozen=True)
class HyperParameter:
    """One knob of a loss: its symbol, usual range, and what turning it up does."""

    name: str
    symbol: str
    usual: tuple[float, float]
    direction: str
    trl_name: str
    default: float = field(default=float("nan"))  # filled in from the loss's signature


@dataclass(frozen=True)
class TRLSpelling:
    """How the pinned TRL runs this method: the class, and what must be set beside its defaults."""

    trainer: str
    config: str
    module: str
    settings: MappingProxyType = field(default_factory=lambda: MappingProxyType({}))
    trap: str = ""
    ignores: tuple[str, ...] = ()  # knobs of the method that this class takes and does not use
    logits: Literal["chunked", "full"] = "chunked"  # whether log-probs are computed in tiles or from all logits


@dataclass(frozen=True)
class Method:
    """What is true of one method, whoever trains it.

    `average` says whether its log-probs are averaged over response tokens (True) or summed (False).
    Passes are forward passes a training step makes for each pair (KTO: each single response); those of
    the reference drop to 0 once its log-probs are precomputed, KTO's mismatched one aside where
    mismatches are drawn anew at each step.
    """

    key: str
    name: str
    full_name: str
    fixes: str
    data: Literal["paired", "unpaired"]
    average: bool
    policy_passes: int
    reference_passes: int
    knobs: tuple[HyperParameter, ...]
    paper: Paper
    trl: TRLSpelling

    @cached_property
    def loss(self) -> Callable:
        """The function of `lessons_lib.losses` that is named after the key."""
        from lessons_lib import losses

        return getattr(losses, f"{self.key}_loss")

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Names of the tensors the loss takes, in order: what a trainer must provide."""
        return tuple(argument.arg for argument in self._signature.args)

    @cached_property
    def hyperparameters(self) -> MappingProxyType[str, HyperParameter]:
        """The knobs by name, each with the default that the loss function itself has."""
        names = (argument.arg for argument in self._signature.kwonlyargs)
        values = zip(names, self._signature.kw_defaults, strict=True)
        defaults = {name: ast.literal_eval(value) for name, value in values if value}
        return MappingProxyType({k.name: replace(k, default=defaults[k.name]) for k in self.knobs})

    @property
    def needs_reference(self) -> bool:
        return self.reference_passes > 0

    @property
    def scores_mismatched(self) -> bool:
        """Whether a step also scores prompts with other rows' responses, as KTO's reference point asks."""
        return self.policy_passes > (2 if self.data == "paired" else 1)

    @property
    def _signature(self) -> ast.arguments:
        return _signatures()[f"{self.key}_loss"]


@cache
def _signatures() -> dict[str, ast.arguments]:
    """The arguments of each function in `losses.py`, by its name."""
    source = Path(__file__).with_name("losses.py").read_text(encoding="utf-8")
    return {node.name: node.args for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)}


_BETA = HyperParameter("beta", "β", (0.01, 0.5), "larger stays closer to the reference", "beta")

_DPO = Method(
    key="dpo",
    name="DPO",
    full_name="Direct Preference Optimization",
    fixes="RLHF needs a reward model and a sampling loop",
    data="paired",
    average=False,
    policy_passes=2,
    reference_passes=2,
    knobs=(
        _BETA,
        HyperParameter(
            "label_smoothing",
            "ε",
            (0.0, 0.3),
            "larger trusts the labels less: the conservative form for flipped labels",
            "label_smoothing",
        ),
    ),
    paper=Paper(
        "Rafailov, Sharma, Mitchell, Ermon, Manning and Finn",
        "Direct Preference Optimization: Your Language Model is Secretly a Reward Model",
        "2305.18290",
        "2023-05-29",
        "NeurIPS 2023",
        "Eq. 7",
    ),
    trl=TRLSpelling(
        "DPOTrainer",
        "DPOConfig",
        "trl",
        MappingProxyType({"loss_type": "sigmoid"}),
        trap="its `sigmoid` ignores label_smoothing, and its `robust` is another loss, unbounded below",
        ignores=("label_smoothing",),
    ),
)

_IPO = Method(
    key="ipo",
    name="IPO",
    full_name="Identity Preference Optimization",
    fixes="DPO's margin grows without bound where labels are near-deterministic",
    data="paired",
    average=False,
    policy_passes=2,
    reference_passes=2,
    knobs=(HyperParameter("tau", "τ", (0.01, 1.0), "larger stays closer: the margin stops at 1/(2τ) nats", "beta"),),
    paper=Paper(
        "Azar, Rowland, Piot, Guo, Calandriello, Valko and Munos",
        "A General Theoretical Paradigm to Understand Learning from Human Preferences",
        "2310.12036",
        "2023-10-18",
        "AISTATS 2024",
        "Eq. 17",
    ),
    trl=TRLSpelling(
        "DPOTrainer",
        "DPOConfig",
        "trl",
        MappingProxyType({"loss_type": "ipo"}),
        trap="TRL averages each log-ratio over its tokens, so the same τ asks for 1/(2τ) nats per token",
    ),
)

_KTO = Method(
    key="kto",
    name="KTO",
    full_name="Kahneman-Tversky Optimization",
    fixes="most feedback is one rating of one response, and pairs are rare",
    data="unpaired",
    average=False,
    policy_passes=2,
    reference_passes=2,
    knobs=(
        _BETA,
        HyperParameter("desirable_weight", "λ_D", (1.0, 15.0), "larger learns more from thumbs up", "desirable_weight"),
        HyperParameter(
            "undesirable_weight", "λ_U", (1.0, 15.0), "larger learns more from thumbs down", "undesirable_weight"
        ),
    ),
    paper=Paper(
        "Ethayarajh, Xu, Muennighoff, Jurafsky and Kiela",
        "KTO: Model Alignment as Prospect Theoretic Optimization",
        "2402.01306",
        "2024-02-02",
        "ICML 2024",
        "Eq. 7",
    ),
    trl=TRLSpelling("KTOTrainer", "KTOConfig", "trl", trap="needs a batch of at least 2 per device"),
)

_ORPO = Method(
    key="orpo",
    name="ORPO",
    full_name="Odds Ratio Preference Optimization",
    fixes="SFT and preference tuning are two stages, and the second holds a second model",
    data="paired",
    average=True,
    policy_passes=2,
    reference_passes=0,
    knobs=(HyperParameter("lam", "λ", (0.1, 1.0), "larger weighs preference against imitation", "beta"),),
    paper=Paper(
        "Hong, Lee and Thorne",
        "ORPO: Monolithic Preference Optimization without Reference Model",
        "2403.07691",
        "2024-03-12",
        "EMNLP 2024",
        "Eq. 6 and 7",
    ),
    trl=TRLSpelling(
        "ORPOTrainer",
        "ORPOConfig",
        "trl.experimental.orpo",
        trap="its NLL covers prompt and response; its `beta` is λ",
        logits="full",
    ),
)

_SIMPO = Method(
    key="simpo",
    name="SimPO",
    full_name="Simple Preference Optimization",
    fixes="DPO's reward is not what generation maximizes, sums grow with length, and the reference costs memory",
    data="paired",
    average=True,
    policy_passes=2,
    reference_passes=0,
    knobs=(
        HyperParameter("beta", "β", (2.0, 10.0), "larger scales the reward up: a sharper loss", "beta"),
        HyperParameter("gamma", "γ", (0.5, 5.0), "larger asks for a wider gap between the two rewards", "simpo_gamma"),
    ),
    paper=Paper(
        "Meng, Xia and Chen",
        "SimPO: Simple Preference Optimization with a Reference-Free Reward",
        "2405.14734",
        "2024-05-23",
        "NeurIPS 2024",
        "Eq. 6",
    ),
    trl=TRLSpelling(
        "CPOTrainer",
        "CPOConfig",
        "trl.experimental.cpo",
        MappingProxyType({"loss_type": "simpo", "cpo_alpha": 0.0}),
        trap="without cpo_alpha=0 an NLL term is added; TRL takes γ, the authors' code takes γ/β",
        logits="full",
    ),
)

METHODS: MappingProxyType[str, Method] = MappingProxyType({m.key: m for m in (_DPO, _IPO, _KTO, _ORPO, _SIMPO)})
