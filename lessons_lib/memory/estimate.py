"""What a training step needs in memory, from a model's configuration alone: nothing is loaded, nothing is run.

`estimate` follows one training step through its moments (the loss, a reference's forward pass, the backward
pass through the last and the first block, the optimizer) and adds up which tensors live at each; the peak is
the largest moment. The step is the plain one that trainers share (both responses of a pair in one forward pass,
dropout off, gradients dropped after each step, AdamW); with `packed` it is that of `lessons_lib.training.loop`.

It counts tensor bytes, which is what PyTorch's allocator hands out. It does not count the allocator's unused
cache and fragments, the CUDA context or communication buffers: `fits` leaves room for them. On one device its
figures are held to measurements (`readings.json`, made by `lessons_lib.memory.probe`); sharding over
several GPUs and 4-bit weights are arithmetic that nobody here has measured.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from lessons_lib.errors import UserError

if TYPE_CHECKING:
    from lessons_lib.memory.architecture import Architecture

GIB = 2**30
TILE_TOKENS, TILE_VOCABULARY = 4096, 32_768  # of TRL 1.16's chunked log-probs
USABLE = 0.9  # of a GPU's memory: our judgement of what CUDA context, fragments and NCCL buffers leave over


@dataclass(frozen=True)
class Precision:
    """Bytes of one number: stored weights, computation, what is trained (its weight, its gradient, each state)."""

    weight: float
    compute: int
    trained: int
    autocast: bool = False  # float32 weights, of which every pass makes bfloat16 copies
    note: str = ""


PRECISIONS: MappingProxyType[str, Precision] = MappingProxyType(
    {
        "float32": Precision(4, 4, 4, note="everything in float32"),
        "mixed": Precision(4, 2, 4, autocast=True, note="float32 weights and optimizer, bfloat16 computation"),
        "bfloat16": Precision(2, 2, 2, note="weights and optimizer in bfloat16 too; small updates can be lost"),
        "nf4": Precision(0.516, 2, 4, note="frozen 4-bit matrices under LoRA (QLoRA, arXiv 2305.14314, section 3)"),
    }
)
OPTIMIZER_STATES = MappingProxyType({"adamw": 2, "adamw_8bit": 2, "sgd": 0})  # numbers kept for each trained weight


@dataclass(frozen=True)
class Setting:
    """One training step, as `estimate` needs it.

    Attributes:
        model: what the configuration says about sizes, from `architecture.read_architecture`.
        method: a key of `METHODS`; says whether a row is a pair and whether a reference is needed.
        batch_size: rows in one forward pass on one GPU: pairs, or single responses for KTO.
        length: tokens of each sequence, prompt and response, padding included.
        prompt_length: of these, tokens of the prompt; their logits are computed and then dropped.
        precision: a key of `PRECISIONS`.
        lora_rank: rank of adapters on every matrix of every block; 0 trains all weights.
        checkpointing: keep only the input of each block and compute the block again in the backward pass.
        reference: "model": a frozen copy answers in every step (under LoRA the same weights with adapters
            off, which cost nothing); "precomputed": its log-probs were computed before the first step.
        rows: rows of the data set, whose precomputed log-probs stay in memory.
        optimizer: a key of `OPTIMIZER_STATES`.
        accumulation: forward passes a step; above 1, gradients live from one pass to the next.
        synchronised: under full sharding, divide the gradients after every pass. Trainers wait for the last pass of a
            step (`no_sync`), and until then each GPU holds the gradients of all weights.
        gpus: GPUs that train together, each with its own batch.
        sharded: FSDP full sharding (ZeRO-3): weights, gradients, states and reference divided among `gpus`.
        logits: "full": the logits of all positions at once; "chunked": tiles that are computed again in the
            backward pass (TRL 1.16 does so for DPO, IPO and KTO); "log_softmax": float32 logits of all
            positions and their log-softmax, both kept (trainers of 2024, when the papers were written).
        masked: attention gets a mask for padding, and key and value heads are repeated (TRL). Rows padded on
            the right need none, since no token looks to its right.
        packed: each prompt goes through the model once for both responses, without padding, and logits are made
            for response positions only (this project's loop, for GPT-2, Llama and Qwen).
    """

    model: Architecture
    method: str = "dpo"
    batch_size: int = 1
    length: int = 1024
    prompt_length: int = 0
    precision: str = "mixed"
    lora_rank: int = 0
    checkpointing: bool = False
    reference: str = "model"
    rows: int = 0
    optimizer: str = "adamw"
    accumulation: int = 1
    gpus: int = 1
    sharded: bool = False
    synchronised: bool = False
    logits: str = "full"
    masked: bool = False
    packed: bool = False

    def __post_init__(self):
        from lessons_lib.methods import METHODS

        for name, known in _CHOICES.items():
            _require(getattr(self, name) in known, name, f"one of {', '.join(known)}", getattr(self, name))
        _require(self.method in METHODS, "method", f"one of {', '.join(METHODS)}", self.method)
        for name in ("batch_size", "length", "accumulation", "gpus"):
            _require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))
        for name in ("prompt_length", "lora_rank", "rows"):
            _require(getattr(self, name) >= 0, name, "at least 0", getattr(self, name))
        _require(
            self.prompt_length < self.length, "prompt_length", f"less than length, {self.length}", self.prompt_length
        )
        _require(self.precision != "nf4" or self.lora_rank > 0, "lora_rank", "above 0: 4-bit weights cannot train", 0)
        _require(not (self.packed and self.masked), "masked", "no mask, where rows are packed", self.masked)
        _require(self.packed is False or self.prompt_length > 0, "prompt_length", "above 0 for packed rows", 0)
        _require(not self.sharded or self.gpus > 1, "gpus", "at least 2, where weights are sharded", self.gpus)

    @property
    def sequences(self) -> int:
        """Sequences of one forward pass with gradients: two a pair, one a single response."""
        from lessons_lib.methods import METHODS

        return self.batch_size * (2 if METHODS[self.method].data == "paired" else 1)


_CHOICES = {
    "precision": tuple(PRECISIONS),
    "optimizer": tuple(OPTIMIZER_STATES),
    "reference": ("model", "precomputed"),
    "logits": ("full", "chunked", "log_softmax"),
}


@dataclass(frozen=True)
class Components:
    """Bytes alive on one GPU at one moment, by what they hold."""

    weights_bytes: float = 0  # the model's, autocast's copies included
    gradients_bytes: float = 0
    optimizer_bytes: float = 0
    reference_bytes: float = 0  # the frozen copy, or its precomputed log-probs
    activations_bytes: float = 0  # kept for the backward pass
    logits_bytes: float = 0  # vocabulary-wide tensors: logits, their float32 copy, their gradients
    workspace_bytes: float = 0  # short-lived: one block's gradients of activations, gathered shards

    @property
    def total_bytes(self) -> float:
        return sum(vars(self).values())

    def as_dict(self) -> dict[str, float]:
        return dataclasses.asdict(self)


@dataclass(frozen=True)
class Estimate:
    """The moments of a training step, in order, and the largest of them."""

    setting: Setting
    moments: MappingProxyType[str, Components]

    @property
    def peak_moment(self) -> str:
        return max(self.moments, key=lambda name: self.moments[name].total_bytes)

    @property
    def peak(self) -> Components:
        return self.moments[self.peak_moment]

    @property
    def peak_bytes(self) -> float:
        return self.peak.total_bytes


def estimate(setting: Setting) -> Estimate:
    """Predict the memory of one training step on one GPU.

    Returns:
        An `Estimate`: bytes by component at each moment of the step. The optimizer's states exist from the
        second step on and are counted; a component that is not alive at the peak is 0 there, as gradients
        are when the loss is computed.

    Example:
        >>> from lessons_lib.memory.architecture import read_architecture
        >>> gpt2 = read_architecture({"model_type": "gpt2"})
        >>> round(estimate(Setting(gpt2, "dpo", length=512, precision="float32")).peak_bytes / GIB, 1)
        3.6
    """
    step = _Step(setting)
    alive = Components(
        weights_bytes=step.weights,
        optimizer_bytes=step.optimizer,
        reference_bytes=step.reference,
        gradients_bytes=step.accumulated if setting.accumulation > 1 else 0,
        workspace_bytes=step.gathered,
    )
    moments = {"forward": _add(alive, activations_bytes=step.kept, logits_bytes=step.logits_kept + step.logits_capped)}
    if step.mismatched_pass:
        moments = {"mismatched pass": _add(alive, **step.pass_without_gradients)} | moments
    if step.reference_pass:
        moments["reference pass"] = _add(moments["forward"], **step.pass_without_gradients)
    moments["loss"] = _add(alive, activations_bytes=step.kept, logits_bytes=step.logits_backward + step.logits_capped)
    # The backward pass frees activations block by block and makes gradients; either end can be the larger one.
    last = step.kept - step.head + (step.block if setting.checkpointing else 0)
    first = step.block + (step.block_input if setting.checkpointing else 0)
    moments["backward, last block"] = _backward(alive, step, step.head_gradients, last, step.block_workspace)
    moments["backward, first block"] = _backward(alive, step, step.late_gradients, first, step.block_workspace)
    moments["backward, embeddings"] = _backward(alive, step, step.gradients, step.block_input, step.embedding_workspace)
    moments["optimizer"] = dataclasses.replace(
        alive,
        weights_bytes=step.weights - step.autocast_copies,
        gradients_bytes=step.gradients,
        workspace_bytes=step.optimizer_workspace,
    )
    return Estimate(setting, MappingProxyType(moments))


def fits(setting: Setting, gpu_memory_bytes: float) -> bool:
    """Whether the predicted peak stays below `USABLE` of a GPU's memory."""
    return estimate(setting).peak_bytes <= USABLE * gpu_memory_bytes


def smallest_plan(
    setting: Setting, gpu_memory_bytes: float, *, max_gpus: int = 64, tuning: tuple[str, ...] = ("full", "lora", "nf4")
) -> Estimate | None:
    """The cheapest plan that fits: fewest GPUs, then the earliest of `tuning`, then the least extra computation.

    GPU-hours hardly depend on the number of GPUs, the smallest cluster does; on equal clusters a plan is
    cheaper if it avoids a live reference's forward pass (about 1/4 of a step's computation, once instead of
    in every epoch) and checkpointing's second forward pass (about 1/3 more).

    Args:
        setting: the model, method, batch and lengths wanted; precision is that of full fine-tuning.
        gpu_memory_bytes: of one GPU.
        max_gpus: largest cluster to consider; sizes are powers of two, and several GPUs share by full sharding.
        tuning: what may be trained, best first: "full" all weights, "lora" adapters on bfloat16 weights,
            "nf4" adapters on 4-bit weights. The rank is the setting's, or 16.

    Returns:
        The plan's `Estimate`, or None where nothing fits.
    """
    sizes = [2**i for i in range(max_gpus.bit_length()) if 2**i <= max_gpus]
    for gpus in sizes:
        for kind in tuning:
            for checkpointing in (False, True):
                plan = dataclasses.replace(
                    setting,
                    gpus=gpus,
                    sharded=gpus > 1,
                    checkpointing=checkpointing,
                    reference="precomputed",
                    **_tuned(setting, kind),
                )
                if fits(plan, gpu_memory_bytes):
                    return estimate(plan)
    return None


def published_comparison() -> dict[str, Estimate]:
    """DPO and SimPO in the setting whose peak memory was published: about 10 % less for SimPO, not half.

    Reported (arXiv 2405.14734, section 4.4, Fig. 5c): Llama-3-8B base on 8 H100. From the authors' configuration
    files: ZeRO-3, bfloat16, checkpointing, 2 pairs a GPU, 2,048 tokens. Ours to assume: 128 pairs a step, so 8
    accumulated passes; every row as long as allowed; logits as trainers of that time kept them; a frozen
    bfloat16 copy as DPO's reference, sharded like the policy.

    Half of the saving is the reference's weights, 2 of the 18 bytes a weight that are divided among 8 GPUs. The
    other half is its forward pass, whose logits appear while the policy's are still kept. What SimPO needs as
    much as DPO (weights, gradients, optimizer, activations, its own logits) is nine tenths of the peak.
    """
    from lessons_lib.memory.architecture import read_architecture

    model = read_architecture("llama-3-8b")
    cluster = {"gpus": 8, "sharded": True, "checkpointing": True, "accumulation": 8, "logits": "log_softmax"}
    cluster |= {"synchronised": True}  # ZeRO-3 divides gradients as they are made
    return {m: estimate(Setting(model, m, batch_size=2, length=2048, **cluster)) for m in ("dpo", "simpo")}


def _tuned(setting: Setting, kind: str) -> dict:
    rank = setting.lora_rank or 16
    kinds = {
        "full": {"precision": setting.precision, "lora_rank": 0},
        "lora": {"precision": "bfloat16", "lora_rank": rank},
        "nf4": {"precision": "nf4", "lora_rank": rank},
    }
    _require(kind in kinds, "tuning", f"one of {', '.join(kinds)}", kind)
    return kinds[kind]


class _Step:
    """The sizes, in bytes, that the moments of a step are made of."""

    def __init__(self, setting: Setting):
        from lessons_lib.methods import METHODS

        self.s, self.m, self.p = setting, setting.model, PRECISIONS[setting.precision]
        self.method = METHODS[setting.method]
        self.places = setting.sequences * setting.length  # of attention, prompts counted with each response
        self.responses = setting.sequences * (setting.length - setting.prompt_length)  # tokens whose log-prob counts
        self.tokens = self.places  # that the blocks compute, and the positions whose logits are made
        self.read = self.places
        if setting.packed:
            self.tokens = setting.batch_size * setting.prompt_length + self.responses
            self.read = self.responses - (setting.sequences - setting.batch_size)  # a prompt's end is read once
        self.lora = setting.lora_rank > 0
        self.trained_bytes = 4 if self.lora else self.p.trained  # adapters are float32 whatever they adapt
        self.share = 1 / setting.gpus if setting.sharded else 1.0
        self.residual = max(2, self.p.weight)  # of the stream between blocks: autocast leaves it in float32

    # what stays for the whole step

    @property
    def trained_parameters(self) -> int:
        m = self.m
        return self.s.lora_rank * m.adapter_parameters if self.lora else m.parameters

    @property
    def weights(self) -> float:
        adapters = self.trained_parameters * 4 if self.lora else 0
        return (self._stored(self.p.weight) + adapters) * self.share + self.autocast_copies

    def _stored(self, bytes_each: float) -> float:
        """All weights; only the blocks' matrices can have fewer than 2 bytes."""
        matrices = self.m.matrix_parameters
        return matrices * bytes_each + (self.m.parameters - matrices) * max(bytes_each, 2)

    @property
    def autocast_copies(self) -> float:
        if not self.p.autocast or self.s.sharded:
            return 0  # sharded weights are gathered in bfloat16, which `gathered` counts
        return 2 * (self.m.matrix_parameters + self.m.vocabulary * self.m.width)

    @property
    def gradients(self) -> float:
        copies = 2 if self.s.gpus > 1 and not self.s.sharded else 1  # DistributedDataParallel's buckets are a copy
        return self.trained_parameters * self.trained_bytes * self.share * copies

    @property
    def accumulated(self) -> float:
        """Gradients that wait for the step's last pass, where sharding has not divided them yet."""
        if not self.s.sharded or self.s.synchronised:
            return self.gradients
        return self.trained_parameters * (4 if self.lora else self.p.compute)

    @property
    def optimizer(self) -> float:
        each = 1 if self.s.optimizer == "adamw_8bit" else self.trained_bytes
        return self.trained_parameters * OPTIMIZER_STATES[self.s.optimizer] * each * self.share

    @property
    def reference(self) -> float:
        if not self.method.needs_reference:
            return 0
        if self.s.reference == "precomputed":
            return 4 * self.s.rows * 2  # two float32 a row: chosen and rejected, or response and KTO's mismatch
        frozen = 4 if self.p.compute == 4 or (self.p.autocast and not self.s.sharded) else 2  # autocast casts its own
        return 0 if self.lora else self._stored(frozen) * self.share

    @property
    def mismatched_pass(self) -> bool:
        """Whether each step first scores prompts with other rows' responses, as KTO's reference point asks."""
        return self.method.scores_mismatched

    @property
    def reference_pass(self) -> bool:
        """Whether a live reference scores the rows while the policy's activations wait for the backward pass."""
        return self.method.needs_reference and self.s.reference == "model"

    @property
    def pass_without_gradients(self) -> dict[str, float]:
        """What such a pass holds at its worst point: in a feed-forward part, or at its logits."""
        hidden = self.p.compute * self.m.feedforward * (3 if self.m.gated else 2)
        if experts := self.m.experts:
            each = experts.active * (3 * experts.size + 2 * self.m.width) + 3 * experts.shared
            hidden = max(hidden if self.m.dense_layers else 0, self.p.compute * each)
        within = self.tokens * (hidden + 2 * self.m.width * self.residual)
        if within > self.logits_forward:
            return {"workspace_bytes": within}
        return {"logits_bytes": self.logits_forward}

    @property
    def gathered(self) -> float:
        """Under full sharding, what is whole: two blocks (one in use, one on its way), embeddings, one gradient."""
        if not self.s.sharded:
            return 0
        m, weight = self.m, min(self.p.weight, self.p.compute)
        one_gradient = 0 if self.lora else m.block_parameters * self.p.compute
        return 2 * m.block_parameters * weight + m.outer_parameters * max(weight, 2) + one_gradient

    # what the forward pass keeps for the backward pass

    @property
    def _casts(self) -> bool:
        """Whether a trained matrix keeps a cast of its input, and not the very tensor that its maker keeps."""
        return self.lora and self.p.compute == 2

    def _inputs(self, readers: int) -> float:
        """Bytes of one element of what `readers` trained matrices read, as kept for their gradients."""
        if self.p.autocast:
            return 2 * readers  # autocast casts anew for each reader
        return 4 * readers if self._casts else self.p.compute  # and so does each adapter, to float32

    @property
    def _norm(self) -> float:
        """Bytes of one element of what a norm keeps beside its output."""
        if not self.m.gated:
            return self.residual  # one fused kernel, which keeps its input
        return 4 + (0 if self.lora else self.residual)  # the input in float32 and, to train its scale, the normed one

    @property
    def blocks(self) -> float:
        """What all blocks keep."""
        m = self.m
        feedforward = m.dense_layers * self._dense + m.sparse_layers * self._mixture
        return m.layers * self._around + m.windowed * self._window + feedforward

    @property
    def block(self) -> float:
        """What one block keeps, the largest where they differ."""
        m = self.m
        feedforward = max(self._dense if m.dense_layers else 0, self._mixture)
        return self._around + (self._window if m.windowed else 0) + feedforward

    @property
    def _around(self) -> float:
        """Norms, attention and adapters."""
        m, a = self.m, self.p.compute
        query, key = m.query_width, m.key_width
        readers = (3, 2) if m.gated else (1, 1)  # matrices that read the first and the second norm
        norms = m.width * (m.norms * self._norm + self._inputs(readers[0]) + self._inputs(readers[1]))
        norms += (query + key) * self._norm if m.qk_norm else 0
        attention = a * 2 * (query + (query if self.s.masked else key)) + 4 * m.heads  # q, output, k, v, log-sum-exp
        attention += a * self.s.length if self.s.masked else 0  # the mask, as large as the scores of one head
        attention += a * (query + key) if m.fused else 0  # before the rotation: values keep the whole alive
        if m.eager:
            scores = 4 + (a if a < 4 else 0) + (a if m.attention_cap else 0)  # softmax, its cast, the tanh's result
            attention += m.heads * self.s.length * scores + 2 * a * (query - key)
        if m.latents:
            attention, of_latents = self._latent_attention
            norms += of_latents
        output = self._inputs(1) * query if self._casts or self.s.packed else 0  # else the attention's own output
        adapters = self.s.lora_rank * len(m.linear_matrices) / m.layers * (2 if self.p.autocast else 4)
        return self.places * attention + self.tokens * (norms + output + adapters)

    @property
    def _latent_attention(self) -> tuple[float, float]:
        """Of latent attention (MLA): what a place of attention keeps, and what a token keeps in latents and norms."""
        m, a = self.m, self.p.compute
        latents = m.latents
        values = m.heads * (latents.plain + latents.value)  # keys without rotation and values are one tensor
        attention = a * (2 * m.query_width + values + m.heads * latents.value) + 4 * m.heads
        if latents.value != latents.plain + latents.rotated:  # no fused kernel of a CPU takes heads of two sizes
            attention += a * m.heads * self.s.length
        of_latents = (latents.query + latents.key_value) * (self._norm + self._inputs(1)) + a * latents.rotated
        return attention, of_latents

    @property
    def _window(self) -> float:
        """What a window adds: a mask, and keys and values repeated for every query head."""
        m, a = self.m, self.p.compute
        if self.s.masked or m.eager or self.s.length <= m.window:
            return 0
        return self.places * a * 2 * (m.query_width - m.key_width)

    @property
    def _dense(self) -> float:
        return self.tokens * self.m.feedforward * self._feedforward

    @property
    def _mixture(self) -> float:
        """A mixture of experts: each token, gathered, once for every expert it goes through, and as much given back."""
        if not (experts := self.m.experts):
            return 0
        gathered = experts.active * (experts.size * self._feedforward + 2 * self.m.width * self.p.compute)
        return self.tokens * (gathered + experts.shared * self._feedforward + 12 * experts.count)

    @property
    def _feedforward(self) -> float:
        """Bytes a hidden unit keeps: what the activation keeps, and what the last matrix reads."""
        if self.m.gated:
            return 3 * self.p.compute + self._inputs(1)
        if self.m.activation == "relu":  # keeps its result, which is what the last matrix reads
            return self.p.compute + (self._inputs(1) if self._casts else 0)
        return (4 if self.m.activation == "gelu_new" else 1) * self.p.compute + self._inputs(1)

    @property
    def block_input(self) -> float:
        return self.tokens * self.m.width * self.residual

    @property
    def head(self) -> float:
        """What the last norm keeps, and what the output embedding reads."""
        read = 0 if self.lora else self._inputs(1) * self.read
        return self.m.width * (self.tokens * self._norm + read)

    @property
    def kept(self) -> float:
        """Everything that lives from the forward pass to the backward pass, logits aside."""
        return (self.m.layers * self.block_input if self.s.checkpointing else self.blocks) + self.head

    # what is as wide as the vocabulary

    @property
    def _all_logits(self) -> float:
        return self.read * self.m.vocabulary * self.p.compute

    @property
    def _tile(self) -> float:
        return min(self.read, TILE_TOKENS) * min(self.m.vocabulary, TILE_VOCABULARY) * (self.p.compute + 4)

    @property
    def logits_kept(self) -> float:
        """What the loss's backward pass reads: the float32 logits of response positions, unless set otherwise."""
        if self.s.logits == "chunked":
            return 0
        positions = 2 * self.places if self.s.logits == "log_softmax" else min(self.read, self.responses)
        return 4 * positions * self.m.vocabulary

    @property
    def logits_capped(self) -> float:
        """What the tanh of a model that caps its logits keeps: its result."""
        return self._all_logits if self.m.logit_cap else 0

    @property
    def logits_forward(self) -> float:
        """At the worst point of a forward pass: all logits, those of responses, and their exponentials."""
        if self.s.logits == "chunked":
            return self._tile
        if self.s.logits == "log_softmax":
            return self._all_logits + self.logits_kept
        selected = self._all_logits if self.p.compute == 2 or not self.s.packed else 0  # float32 ones are kept as made
        return selected + 2 * self.logits_kept

    @property
    def logits_backward(self) -> float:
        """At the worst point of the loss's backward pass."""
        if self.s.logits == "chunked":
            return self._tile + (0 if self.lora else 4 * self.m.vocabulary * self.m.width)
        if self.s.logits == "log_softmax":
            return 2 * self.logits_kept  # both, and the gradient of each
        in_logsumexp = 4 * self.logits_kept  # the logits, and three steps of their gradient
        in_selection = self.logits_kept * self.p.compute / 4 + 2 * self._all_logits  # spread over all positions
        return max(in_logsumexp, 0 if self.s.packed else in_selection, self.logits_forward)

    # the backward pass

    @property
    def _embedding(self) -> float:
        return self.m.vocabulary * self.m.width * self.trained_bytes * self.share

    @property
    def head_gradients(self) -> float:
        return 0 if self.lora else self._embedding

    @property
    def late_gradients(self) -> float:
        """Gradients made by the time the first block's feed-forward part is reached."""
        if self.lora:
            return self.gradients
        m = self.m
        to_come = m.block_parameters - m.feedforward * m.width + (0 if m.tied else m.vocabulary * m.width)
        return self.gradients - to_come * self.trained_bytes * self.share

    @property
    def block_workspace(self) -> float:
        """Gradients of activations in a feed-forward part: two of its width, one of the stream's."""
        hidden = 2 * self.m.feedforward if self.m.dense_layers else 0
        if experts := self.m.experts:
            hidden = max(hidden, experts.active * (3 * experts.size + self.m.width))
        return self.tokens * (hidden * self.p.compute + self.m.width * self.residual)

    @property
    def embedding_workspace(self) -> float:
        """The input embedding's gradient, before it joins the output embedding's."""
        return self._embedding if self.m.tied and not self.lora else 0

    @property
    def optimizer_workspace(self) -> float:
        """AdamW's two temporaries for the largest trained matrix."""
        m = self.m
        of_experts = 2 * m.experts.count * m.experts.size * m.width if m.experts else 0  # all in one parameter
        largest = max(m.vocabulary * m.width, of_experts, *(a * b for a, b in m.matrices))
        largest = self.s.lora_rank * max(max(pair) for pair in m.matrices) if self.lora else largest
        return 2 * largest * self.trained_bytes * self.share


def _add(alive: Components, **more: float) -> Components:
    return dataclasses.replace(alive, **{name: getattr(alive, name) + value for name, value in more.items()})


def _backward(alive: Components, step: _Step, gradients: float, activations: float, workspace: float) -> Components:
    """A moment of the backward pass, with the gradients made so far and the activations still kept."""
    return dataclasses.replace(
        alive,
        gradients_bytes=max(alive.gradients_bytes, gradients),
        activations_bytes=activations,
        workspace_bytes=step.gathered + workspace,
    )


def _require(holds: bool, name: str, expected: str, came) -> None:
    if not holds:
        raise UserError(f"{name}: expected {expected}, got {came!r}")
