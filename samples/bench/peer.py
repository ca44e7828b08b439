#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The PyTorch peer of `dvl bench forward`, `generate` and `train`: the same architecture and shapes, random weights, the same rows.

    peer.py --shape 3b|7b|tiny --mode eager|compiled|autotuned [--context N]... [--layers N] [--gen-length N] [--json] [--out FILE]
    peer.py --train --shape 3b|7b|tiny --mode eager|compiled [--rows N] [--layers N] [--recompute] [--json] [--out FILE]
    peer.py --versions      what is installed
    peer.py --plan ...      what would be measured; needs no torch
    peer.py --self-test     the parts that need no torch

All modes follow the reference's schedule, 8 denoising forwards and 1 store forward for a block of 8 tokens.

eager     as the reference runs: separate projections, a cache that grows by concatenation, logits for every row of the prompt, one look at
          the masks by the host in every step.
compiled  as its users make it fast without own kernels: stacked projections, a static cache of the slots that the context and its answer
          need, heads that share keys packed as rows of one head (no key is copied), torch.compile, and one CUDA graph each for the
          denoising and the store forward; no dead work, no look by the host.
autotuned  the same, compiled with max-autotune, which looks for the fastest kernel of each product; takes minutes to compile.

With --train: an optimiser step of the language model over one record, as finetuning is usually written: f32 weights under autocast,
autograd, gradients clipped by their norm, fused AdamW. The same rows go in as in `dvl bench train`:
blocks without a masked row are left out.
compiled puts torch.compile around the forward pass.
"""
import argparse
import dataclasses
import datetime
import json
import os
import pathlib
import random
import subprocess
import sys
import time

try:
    import torch
    import torch.nn.functional as F
    import torch.utils.checkpoint
except ImportError:
    torch = None

BLOCK = 8
STEPS = 8
HEAD_DIM = 128
EPS = 1e-6
THETA = 1e6
DEVIATION = 0.02  # initializer_range of Qwen2.5


# ---- what needs no torch


@dataclasses.dataclass(frozen=True)
class Shape:
    hidden: int
    layers: int
    heads: int
    kv_heads: int
    inter: int
    vocab: int
    vision_depth: int
    vision_hidden: int
    vision_heads: int
    vision_inter: int
    full_attention: tuple
    mask_id: int
    patches_per_side: int

    def cut(self, layers):
        return self if layers <= 0 else dataclasses.replace(
            self, layers=min(layers, self.layers), vision_depth=min(layers, self.vision_depth))


QWEN_VISION = dict(vision_depth=32, vision_hidden=1280, vision_heads=16, vision_inter=3420, full_attention=(7, 15, 23, 31),
                   mask_id=151671, patches_per_side=36)
SHAPES = {
    "3b": Shape(2048, 36, 16, 2, 11008, 151936, **QWEN_VISION),
    "7b": Shape(3584, 28, 28, 4, 18944, 152064, **QWEN_VISION),
    "tiny": Shape(256, 4, 2, 1, 768, 1024, 4, 160, 2, 432, (1, 3), 1023, 8),
}


def transfer_schedule(rows, steps):
    """Tokens to commit in each step: evenly, the remainder first."""
    return [rows // steps + (1 if i < rows % steps else 0) for i in range(steps)]


def window_bounds(side, window=8):
    """Rows at which the attention windows begin when the patches of a square image are sorted by window, and the end."""
    bounds = [0]
    for top in range(0, side, window):
        for left in range(0, side, window):
            bounds.append(bounds[-1] + min(window, side - top) * min(window, side - left))
    return bounds


def quantile(values, q):
    values = sorted(values)
    rank = q * (len(values) - 1)
    low = int(rank)
    high = min(low + 1, len(values) - 1)
    return values[low] + (rank - low) * (values[high] - values[low])


def significant(value):
    return float("%.4g" % value)


def times(prefix, millis):
    return {prefix: significant(quantile(millis, 0.5)), prefix + "_p10": significant(quantile(millis, 0.1)),
            prefix + "_p90": significant(quantile(millis, 0.9))}


def forward_row(args, shape, context, mode, millis):
    return {"bench": "forward", "engine": "torch-" + args.mode, "shape": args.shape, "layers": shape.layers, "dtype": "bf16",
            "context": context, "rows": BLOCK, "mode": mode, **times("ms", millis)}


def generate_row(args, shape, context, vision, prefill, decode):
    """Times in milliseconds: vision and prefill one number each, decode one per repetition."""
    blocks = args.gen_length // BLOCK
    median = quantile(decode, 0.5)
    return {"bench": "generate", "engine": "torch-" + args.mode, "shape": args.shape, "layers": shape.layers, "dtype": "bf16",
            "context": context, "schedule": "static", "steps": STEPS, "tokens": blocks * BLOCK, "forwards": 1 + blocks * (STEPS + 1),
            "denoise_forwards": blocks * STEPS, "store_forwards": blocks, "vision_ms": significant(vision),
            "prefill_ms": significant(prefill), **times("decode_ms", decode),
            "ms_per_forward": significant(median / (blocks * (STEPS + 1))),
            "tokens_per_s": significant(1000 * blocks * BLOCK / median)}


def training_rows(length, seed):
    """(row, noisy, masked, level) of each row of a pass over one record: clean blocks, then noisy ones of the labelled second half that
    hide something."""
    random_numbers = random.Random(seed)
    blocks = length // BLOCK
    clean, noisy = [], []
    for block in range(blocks):
        level = (random_numbers.random() + block) / blocks * 0.999 + 0.001
        rows = range(block * BLOCK, (block + 1) * BLOCK)
        hidden = [row >= length // 2 and random_numbers.random() <= level for row in rows]
        if any(hidden):
            noisy += [(row, True, masked, level) for row, masked in zip(rows, hidden)]
        if block < blocks - 1:
            clean += [(row, False, False, level) for row in rows]
    return clean + noisy


def sees(query, key):
    """The four visibility rules of block diffusion, for rows of training_rows."""
    own, other = query[0] // BLOCK, key[0] // BLOCK
    if query[1]:
        return own == other if key[1] else own > other
    return not key[1] and own >= other


def train_row(args, shape, length, pass_rows, targets, millis):
    return {"bench": "train", "engine": "torch-" + args.mode, "shape": args.shape, "layers": shape.layers, "dtype": "bf16",
            "rows": length, "pass_rows": pass_rows, "targets": targets, "recompute": args.recompute, "optimizer": "adamw",
            **times("ms", millis), "tokens_per_s": significant(1000 * length / quantile(millis, 0.5))}


def commit():
    try:
        return subprocess.run(["git", "-C", str(pathlib.Path(__file__).parent), "describe", "--always", "--dirty", "--abbrev=12"],
                              capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def driver():
    try:
        words = pathlib.Path("/proc/driver/nvidia/version").read_text().split()
        return next(w for w in words if w[0].isdigit() and w.count(".") >= 1 and w.split(".")[0].isdigit() and len(w.split(".")[0]) >= 3)
    except (OSError, StopIteration):
        return "unknown"


def facts():
    gpu = torch is not None and torch.cuda.is_available()
    return {"device": torch.cuda.get_device_name() if gpu else "cpu", "gpu": gpu, "driver": driver() if gpu else "none",
            "torch": torch.__version__ if torch else "none",
            "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"), "commit": commit(),
            "command": "peer.py " + " ".join(sys.argv[1:])}


def emit(args, row):
    row = {**row, **facts()}
    line = json.dumps(row)
    if args.json:
        print(line, flush=True)
    else:
        hidden = ("device", "gpu", "driver", "torch", "date", "commit", "command")
        print("  ".join(f"{k} {v}" for k, v in row.items() if k not in hidden), flush=True)
    if args.out:
        with open(args.out, "a", encoding="utf-8") as file:
            file.write(line + "\n")


# ---- the model


def weight(device, *size, mean=0.0):
    return torch.empty(*size, dtype=torch.bfloat16, device=device).normal_(mean, DEVIATION)


def rms_norm(x, w):
    v = x.float()
    v = v * torch.rsqrt(v.pow(2).mean(-1, keepdim=True) + EPS)
    return w * v.to(x.dtype)


def rotate_half(x):
    half = x.shape[-1] // 2
    return torch.cat((-x[..., half:], x[..., :half]), dim=-1)


def rotary(x, cos, sin):
    return x * cos + rotate_half(x) * sin


class Layer:
    """Weights of a decoder layer; `stacked`: projections that share an input are one matrix."""

    def __init__(self, s, device, stacked):
        q, kv = s.heads * HEAD_DIM, s.kv_heads * HEAD_DIM
        self.norm1, self.norm2 = weight(device, s.hidden, mean=1.0), weight(device, s.hidden, mean=1.0)
        outs = [q + 2 * kv] if stacked else [q, kv, kv]
        self.qkv = [weight(device, n, s.hidden) for n in outs]
        self.qkv_bias = [weight(device, n) for n in outs]
        self.o = weight(device, s.hidden, q)
        self.gate_up = [weight(device, n, s.hidden) for n in ([2 * s.inter] if stacked else [s.inter, s.inter])]
        self.down = weight(device, s.hidden, s.inter)


class Decoder:
    def __init__(self, shape, device, stacked):
        self.s = shape
        self.layers = [Layer(shape, device, stacked) for _ in range(shape.layers)]
        self.embedding = weight(device, shape.vocab, shape.hidden)
        self.norm = weight(device, shape.hidden, mean=1.0)
        # The 3B's head is tied, the 7B's is not; it is read once per forward either way.
        self.head = weight(device, shape.vocab, shape.hidden)

    def tables(self, positions, device):
        inverse = THETA ** (-torch.arange(0, HEAD_DIM, 2, device=device, dtype=torch.float32) / HEAD_DIM)
        angles = torch.outer(torch.arange(positions, device=device, dtype=torch.float32), inverse)
        angles = torch.cat((angles, angles), dim=-1)
        return angles.cos().bfloat16(), angles.sin().bfloat16()

    def forward(self, h, cos, sin, attend, recompute=False):
        """h [rows, H]; attend(layer number, q [heads, rows, D], k, v [kv heads, rows, D]) -> [heads, rows, D]."""
        for i in range(self.s.layers):
            if recompute:
                h = torch.utils.checkpoint.checkpoint(self.layer, i, h, cos, sin, attend, use_reentrant=False)
            else:
                h = self.layer(i, h, cos, sin, attend)
        return rms_norm(h, self.norm)

    def layer(self, i, h, cos, sin, attend):
        s, rows, w = self.s, h.shape[0], self.layers[i]
        q_width, kv_width = s.heads * HEAD_DIM, s.kv_heads * HEAD_DIM
        x = rms_norm(h, w.norm1)
        parts = [F.linear(x, m, b) for m, b in zip(w.qkv, w.qkv_bias)]
        q, k, v = parts if len(parts) == 3 else parts[0].split([q_width, kv_width, kv_width], dim=-1)
        q = rotary(q.view(rows, s.heads, HEAD_DIM).transpose(0, 1), cos, sin)
        k = rotary(k.view(rows, s.kv_heads, HEAD_DIM).transpose(0, 1), cos, sin)
        v = v.view(rows, s.kv_heads, HEAD_DIM).transpose(0, 1)
        context = attend(i, q, k, v).transpose(0, 1).reshape(rows, q_width)
        h = h + F.linear(context, w.o)
        x = rms_norm(h, w.norm2)
        parts = [F.linear(x, m) for m in w.gate_up]
        gate, up = parts if len(parts) == 2 else parts[0].split([s.inter, s.inter], dim=-1)
        return h + F.linear(F.silu(gate) * up, w.down)

    def train(self):
        """All weights as f32 that take gradients; returns them, each once."""
        owners = [self] + self.layers
        known = {}

        def trained(w):
            if id(w) not in known:
                known[id(w)] = (w, w.float().requires_grad_())  # the old one is kept, so that no other gets its id
            return known[id(w)][1]

        for owner in owners:
            for name, value in vars(owner).items():
                if isinstance(value, torch.Tensor):
                    setattr(owner, name, trained(value))
                elif isinstance(value, list) and value and isinstance(value[0], torch.Tensor):
                    setattr(owner, name, [trained(w) for w in value])
        return [new for _, new in known.values()]

    def logits(self, h):
        return F.linear(h, self.head)


def sdpa(q, k, v, mask=None):
    """[heads, rows, D] with fewer key than query heads; with a mask the fast kernels want the keys repeated."""
    if mask is not None:
        group = q.shape[0] // k.shape[0]
        k, v = k.repeat_interleave(group, dim=0), v.repeat_interleave(group, dim=0)
    return F.scaled_dot_product_attention(q[None], k[None], v[None], attn_mask=mask, enable_gqa=mask is None)[0]


def sdpa_packed(q, k, v, visible):
    """The same where every row sees the same keys: the query heads of a key head become rows of one head, and no key is repeated."""
    heads, rows, dim = q.shape
    packed = q.reshape(k.shape[0], heads // k.shape[0] * rows, dim)
    mask = visible.expand(packed.shape[1], -1)
    return F.scaled_dot_product_attention(packed[None], k[None], v[None], attn_mask=mask)[0].reshape(heads, rows, dim)


def choose(logits, mask_id):
    """Most likely token of each row and its probability; the mask id is never chosen."""
    logits = logits.float()
    logits[:, mask_id] = float("-inf")
    confidence, token = torch.softmax(logits, dim=-1).max(dim=-1)
    return token, confidence


def remask(ids, masked, token, confidence, quota):
    """Commits the `quota` most confident masked rows, in place."""
    confidence = torch.where(masked, confidence, torch.full_like(confidence, float("-inf")))
    picked = torch.zeros_like(masked)
    picked = picked.scatter(0, confidence.topk(quota).indices, True) & masked
    ids.copy_(torch.where(picked, token, ids))
    masked.copy_(masked & ~picked)


class Vision:
    """The Qwen tower on a square image, attention by windows through a mask, and the merger."""

    def __init__(self, shape, device):
        s, d = shape, shape.vision_hidden
        self.s = s
        self.patch = weight(device, d, 1176)
        self.blocks = [dict(norm1=weight(device, d, mean=1.0), qkv=weight(device, 3 * d, d), qkv_bias=weight(device, 3 * d),
                            proj=weight(device, d, d), proj_bias=weight(device, d), norm2=weight(device, d, mean=1.0),
                            gate=weight(device, s.vision_inter, d), gate_bias=weight(device, s.vision_inter),
                            up=weight(device, s.vision_inter, d), up_bias=weight(device, s.vision_inter),
                            down=weight(device, d, s.vision_inter), down_bias=weight(device, d)) for _ in range(s.vision_depth)]
        self.norm = weight(device, d, mean=1.0)
        self.merge1, self.merge1_bias = weight(device, 4 * d, 4 * d), weight(device, 4 * d)
        self.merge2, self.merge2_bias = weight(device, s.hidden, 4 * d), weight(device, s.hidden)
        bounds = window_bounds(s.patches_per_side)
        window = torch.empty(bounds[-1], dtype=torch.long, device=device)
        for i in range(len(bounds) - 1):
            window[bounds[i]:bounds[i + 1]] = i
        self.mask = window[:, None] == window[None, :]
        angles = torch.rand(bounds[-1], d // s.vision_heads // 2, device=device) * 6.28
        angles = torch.cat((angles, angles), dim=-1)[:, None, :]
        self.cos, self.sin = angles.cos(), angles.sin()

    def __call__(self, pixels):
        s, n = self.s, pixels.shape[0]
        heads, dim = s.vision_heads, s.vision_hidden // s.vision_heads
        x = F.linear(pixels, self.patch)
        for i, w in enumerate(self.blocks):
            q, k, v = F.linear(rms_norm(x, w["norm1"]), w["qkv"], w["qkv_bias"]).view(n, 3, heads, dim).unbind(1)
            q = rotary(q.float(), self.cos, self.sin).bfloat16()
            k = rotary(k.float(), self.cos, self.sin).bfloat16()
            mask = None if i in s.full_attention else self.mask
            y = F.scaled_dot_product_attention(*(t.transpose(0, 1)[None] for t in (q, k, v)), attn_mask=mask)[0]
            x = x + F.linear(y.transpose(0, 1).reshape(n, -1), w["proj"], w["proj_bias"])
            y = rms_norm(x, w["norm2"])
            y = F.silu(F.linear(y, w["gate"], w["gate_bias"])) * F.linear(y, w["up"], w["up_bias"])
            x = x + F.linear(y, w["down"], w["down_bias"])
        x = rms_norm(x, self.norm).reshape(n // 4, -1)
        return F.linear(F.gelu(F.linear(x, self.merge1, self.merge1_bias)), self.merge2, self.merge2_bias)


def block_causal(rows, device):
    block = torch.arange(rows, device=device) // BLOCK
    return block[None, :] <= block[:, None]


# ---- the two engines: prefill(embeddings), denoise(), store(), block()


class Eager:
    def __init__(self, shape, device, slots):
        self.device = device
        self.model = Decoder(shape, device, stacked=False)
        self.cos, self.sin = self.model.tables(slots, device)
        self.quotas = transfer_schedule(BLOCK, STEPS)
        self.cache = []
        self.ids = torch.full((BLOCK,), shape.mask_id, device=device)
        self.masked = torch.ones(BLOCK, dtype=torch.bool, device=device)

    def prefill(self, embeddings):
        rows = embeddings.shape[0]
        mask = block_causal(rows, self.device)
        cache = []

        def attend(i, q, k, v):
            cache.append((k, v))
            return sdpa(q, k, v, mask)

        self.model.logits(self.model.forward(embeddings, self.cos[:rows], self.sin[:rows], attend))
        self.cache = cache

    def rows(self, keep):
        begin = self.cache[0][0].shape[1]
        longer = []

        def attend(i, q, k, v):
            k = torch.cat((self.cache[i][0], k), dim=1)
            v = torch.cat((self.cache[i][1], v), dim=1)
            longer.append((k, v))
            return sdpa(q, k, v)

        h = F.embedding(self.ids, self.model.embedding)
        h = self.model.forward(h, self.cos[begin:begin + BLOCK], self.sin[begin:begin + BLOCK], attend)
        logits = self.model.logits(h)
        if keep:
            self.cache = longer
        return logits

    def denoise(self, quota=1):
        token, confidence = choose(self.rows(keep=False), self.model.s.mask_id)
        remask(self.ids, self.masked, token, confidence, quota)

    def block(self):
        self.ids.fill_(self.model.s.mask_id)
        self.masked.fill_(True)
        for quota in self.quotas:
            if self.masked.sum() == 0:
                break
            self.denoise(quota)
        self.rows(keep=True)


class Compiled:
    def __init__(self, model, device, slots, autotune):
        self.device = device
        self.model = model
        shape = model.s
        self.cos, self.sin = self.model.tables(slots, device)
        size = (shape.layers, shape.kv_heads, slots, HEAD_DIM)
        self.keys = torch.zeros(size, dtype=torch.bfloat16, device=device)
        self.values = torch.zeros(size, dtype=torch.bfloat16, device=device)
        self.slots = torch.arange(slots, device=device)
        self.offsets = torch.arange(BLOCK, device=device)
        self.length = torch.zeros((), dtype=torch.long, device=device)  # committed rows
        self.ids = torch.full((BLOCK,), shape.mask_id, device=device)
        self.masked = torch.ones(BLOCK, dtype=torch.bool, device=device)
        mode = "max-autotune-no-cudagraphs" if autotune else "default"  # the graphs are our own
        self.denoise_step = torch.compile(self._denoise, fullgraph=True, dynamic=False, mode=mode)
        self.store_step = torch.compile(self._store, fullgraph=True, dynamic=False, mode=mode)
        self.graphs = None

    def _rows(self):
        positions = self.length + self.offsets
        visible = (self.slots < self.length + BLOCK)[None, :]

        def attend(i, q, k, v):
            self.keys[i][:, positions] = k
            self.values[i][:, positions] = v
            return sdpa_packed(q, self.keys[i], self.values[i], visible)

        return self.model.forward(F.embedding(self.ids, self.model.embedding), self.cos[positions], self.sin[positions], attend)

    def _denoise(self):
        token, confidence = choose(self.model.logits(self._rows()), self.model.s.mask_id)
        remask(self.ids, self.masked, token, confidence, 1)  # BLOCK == STEPS: one token a step

    def _store(self):
        self._rows()
        self.length.add_(BLOCK)

    def capture(self):
        """Compiles and captures; afterwards the state is that of an empty cache."""
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self.denoise_step()
                self.store_step()
        torch.cuda.current_stream().wait_stream(side)
        self.graphs = []
        for step in (self.denoise_step, self.store_step):
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph):
                step()
            self.graphs.append(graph)
        self.length.zero_()

    def prefill(self, embeddings):
        rows = embeddings.shape[0]
        mask = block_causal(rows, self.device)

        def attend(i, q, k, v):
            self.keys[i, :, :rows] = k
            self.values[i, :, :rows] = v
            return sdpa(q, k, v, mask)

        self.model.forward(embeddings, self.cos[:rows], self.sin[:rows], attend)
        self.length.fill_(rows)

    def denoise(self):
        self.graphs[0].replay()

    def block(self):
        self.ids.fill_(self.model.s.mask_id)
        self.masked.fill_(True)
        for _ in range(STEPS):
            self.graphs[0].replay()
        self.graphs[1].replay()


# ---- measuring


def event_millis(work, warm, rounds):
    """Device time of each of some runs, queued without waiting."""
    for _ in range(warm):
        work()
    marks = [torch.cuda.Event(enable_timing=True) for _ in range(rounds + 1)]
    marks[0].record()
    for mark in marks[1:]:
        work()
        mark.record()
    torch.cuda.synchronize()
    return [a.elapsed_time(b) for a, b in zip(marks, marks[1:])]


def wall_millis(work):
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return (time.perf_counter() - start) * 1e3


def slots_of(context, gen_length):
    """Cache slots of a context and its answer; a multiple of 64, as fast attention kernels want their masks."""
    return (context + gen_length + BLOCK + 63) // 64 * 64


def engines(args, shape, device):
    """For each context an engine; weights are shared, and a compiled one's cache is as large as its context needs."""
    if args.mode == "eager":
        engine = Eager(shape, device, slots_of(max(args.context), args.gen_length))
        yield from ((context, engine) for context in args.context)
    else:
        model = Decoder(shape, device, stacked=True)
        for context in args.context:
            torch.compiler.reset()  # compiled for one size each: nothing is to become dynamic
            engine = Compiled(model, device, slots_of(context, args.gen_length), args.mode == "autotuned")
            engine.capture()
            yield context, engine


def measure(args, shape):
    device = torch.device("cuda")
    torch.manual_seed(1)
    with torch.no_grad():
        vision = Vision(shape, device)
        pixels = torch.randn(shape.patches_per_side ** 2, 1176, device=device, dtype=torch.bfloat16)
        wall_millis(lambda: vision(pixels))
        vision_ms = quantile([wall_millis(lambda: vision(pixels)) for _ in range(5)], 0.5)
        del vision
        for context, engine in engines(args, shape, device):
            embeddings = torch.randn(context, shape.hidden, device=device, dtype=torch.bfloat16)
            engine.prefill(embeddings)
            prefill_ms = quantile([wall_millis(lambda: engine.prefill(embeddings)) for _ in range(3)], 0.5)
            rounds = 20 if args.mode == "eager" else 100
            emit(args, forward_row(args, shape, context, "eager" if args.mode == "eager" else "graph",
                                   event_millis(engine.denoise, 3, rounds)))
            decode = []
            for repetition in range(4):
                engine.prefill(embeddings)
                millis = wall_millis(lambda: [engine.block() for _ in range(args.gen_length // BLOCK)])
                if repetition > 0:  # the first warms up
                    decode.append(millis)
            emit(args, generate_row(args, shape, context, vision_ms, prefill_ms, decode))


def measure_training(args, shape):
    device = torch.device("cuda")
    torch.manual_seed(1)
    model = Decoder(shape, device, stacked=args.mode == "compiled")
    # The 3B's head is tied: one matrix, trained once.
    if args.shape != "7b":
        model.head = model.embedding
    parameters = model.train()
    rows = training_rows(args.rows, 1)
    table = torch.tensor([[row, noisy, masked] for row, noisy, masked, _ in rows], device=device)
    visible = torch.tensor([[sees(query, key) for key in rows] for query in rows], device=device)
    tokens = torch.randint(0, min(shape.mask_id, shape.vocab), (args.rows,), device=device)
    labels = tokens[table[:, 0]]
    masked = table[:, 2].bool()
    ids = torch.where(masked, torch.full_like(labels, shape.mask_id), labels)
    weights = torch.tensor([1 / level for _, _, hidden, level in rows if hidden], device=device) / (args.rows // 2)
    cos, sin = model.tables(args.rows, device)
    cos, sin = cos[table[:, 0]], sin[table[:, 0]]
    optimizer = torch.optim.AdamW(parameters, lr=1e-5, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, fused=True)

    def loss():
        h = F.embedding(ids, model.embedding)
        h = model.forward(h, cos, sin, lambda i, q, k, v: sdpa(q, k.to(q.dtype), v, visible), args.recompute)
        return (F.cross_entropy(model.logits(h[masked]).float(), labels[masked], reduction="none") * weights).sum()

    forward = torch.compile(loss) if args.mode == "compiled" else loss

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            value = forward()
        value.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        return value

    for _ in range(3):
        value = step()
    if not bool(torch.isfinite(value)):
        raise SystemExit("peer.py: the loss is not finite")
    millis = [wall_millis(step) for _ in range(10)]
    emit(args, train_row(args, shape, args.rows, len(rows), int(masked.sum()), millis))


def self_test():
    assert transfer_schedule(8, 8) == [1] * 8
    assert transfer_schedule(8, 3) == [3, 3, 2]
    assert sum(transfer_schedule(8, 5)) == 8
    assert window_bounds(36)[-1] == 1296 and len(window_bounds(36)) == 26
    assert window_bounds(8) == [0, 64]
    assert slots_of(352, 128) == 512 and slots_of(1000, 128) == 1152
    assert quantile([5, 1, 4, 2, 3], 0.5) == 3 and abs(quantile([5, 1, 4, 2, 3], 0.1) - 1.4) < 1e-9
    rows = training_rows(64, 1)
    assert [row[0] for row in rows[:56]] == list(range(56)) and all(row[0] >= 32 for row in rows if row[1])
    assert all(any(row[2] for row in rows[i:i + BLOCK]) for i in range(56, len(rows), BLOCK)), "a noisy block that hides nothing"
    noisy = next(row for row in rows if row[1])
    assert [sum(sees(row, key) for key in rows) for row in (rows[0], rows[9], noisy)] == [8, 16, noisy[0] // BLOCK * BLOCK + BLOCK]
    args = parse(["--shape", "3b", "--train"])
    assert args.rows == 1024 and train_row(args, SHAPES["3b"], 1024, 1500, 400, [50.0])["tokens_per_s"] == 20480.0
    args = parse(["--shape", "3b", "--mode", "eager", "--gen-length", "128"])
    assert args.context == [352, 1000, 4000]
    row = generate_row(args, SHAPES["3b"], 352, 5, 6, [100, 120, 110])
    assert row["forwards"] == 145 and row["tokens"] == 128 and row["tokens_per_s"] == 1164.0, row
    assert forward_row(args, SHAPES["7b"].cut(2), 352, "eager", [2.0])["layers"] == 2
    assert json.loads(json.dumps({**row, **facts()}))["engine"] == "torch-eager"
    print("self-test: ok")


def versions():
    print("python", sys.version.split()[0])
    for name in ("torch", "triton", "transformers"):
        try:
            print(name, __import__(name).__version__)
        except ImportError:
            print(name, "not installed")
    if torch is not None:
        print("cuda", torch.version.cuda, "cudnn", torch.backends.cudnn.version(), "gpu", torch.cuda.is_available())


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--shape", choices=sorted(SHAPES), default="3b")
    parser.add_argument("--mode", choices=("eager", "compiled", "autotuned"), default="eager")
    parser.add_argument("--context", type=int, action="append", help="prompt rows, a multiple of 8; may be repeated")
    parser.add_argument("--layers", type=int, default=0, help="cut the model to its first layers")
    parser.add_argument("--gen-length", type=int, default=128)
    parser.add_argument("--train", action="store_true", help="training steps instead of forwards and generations")
    parser.add_argument("--rows", type=int, help="rows of the record that is learnt, a multiple of 8")
    parser.add_argument("--recompute", action="store_true", help="keep only the layers' inputs on the way forward")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--out", help="append JSON lines to this file too")
    parser.add_argument("--versions", action="store_true")
    parser.add_argument("--plan", action="store_true")
    parser.add_argument("--self-test", action="store_true")
    args = parser.parse_args(arguments)
    args.rows = args.rows or (128 if args.shape == "tiny" else 1024)
    if args.rows < 2 * BLOCK or args.rows % BLOCK:
        parser.error(f"--rows must be a multiple of {BLOCK}, at least {2 * BLOCK}")
    args.context = args.context or ([64] if args.shape == "tiny" else [352, 1000, 4000])
    if args.train and args.mode == "autotuned":
        parser.error("--train has the modes eager and compiled")
    if any(c < BLOCK or c % BLOCK for c in args.context) or args.gen_length < BLOCK or args.gen_length % BLOCK:
        parser.error(f"--context and --gen-length must be multiples of {BLOCK}")
    return args


def main():
    args = parse(sys.argv[1:])
    shape = SHAPES[args.shape].cut(args.layers)
    if args.self_test:
        self_test()
    elif args.versions:
        versions()
    elif args.plan and args.train:
        print(f"{args.shape} ({shape.layers} layers) {args.mode}: training steps over {args.rows} rows")
    elif args.plan:
        for context in args.context:
            print(f"{args.shape} ({shape.layers} layers) {args.mode}: "
                  f"forward and generation of {args.gen_length} tokens at context {context}")
    elif torch is None or not torch.cuda.is_available():
        print("peer.py: needs PyTorch and a GPU" + ("" if torch else "; torch is not installed"), file=sys.stderr)
        return 4
    elif args.train:
        measure_training(args, shape)
    else:
        measure(args, shape)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("PYTHONUNBUFFERED", "1")
    sys.exit(main())
