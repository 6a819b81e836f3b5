"""Define the entropy model in floating point, which is trained and then turned into integers."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import LmConfig


class CodeEmbedding(nn.Module):
    """Vectors of one codebook's codes, as a product of two factors.

    Few codes are seen often enough to learn more numbers.
    """

    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        self.table = nn.Embedding(config.codebook_size, config.code_rank)
        self.project = nn.Linear(config.code_rank, config.width, bias=False)

    def forward(self, codes: Tensor) -> Tensor:
        """Turn codes [...] into vectors [..., width]."""
        out: Tensor = self.project(self.table(codes))
        return out


class Layer(nn.Module):
    """Pre-norm transformer layer: causal self-attention, then a GELU feed-forward network."""

    def __init__(self, config: LmConfig, dropout: float) -> None:
        super().__init__()
        width = config.width
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.merge = nn.Linear(width, width)
        self.feed_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, config.hidden)
        self.reduce = nn.Linear(config.hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """Turn frames [B, F, width] into the same shape; frame t sees frames up to t."""
        batch, frames, width = x.shape
        qkv = self.qkv(self.attention_norm(x)).view(batch, frames, 3, self.heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4)
        # By hand: chunks are so short that the fused kernels' backward pass is far slower.
        future = torch.ones(frames, frames, dtype=torch.bool, device=x.device).triu(1)
        match = (q @ k.transpose(-1, -2)).float() * q.shape[-1] ** -0.5
        seen = match.masked_fill(future, -torch.inf).softmax(-1).to(v.dtype) @ v
        x = x + self.dropout(self.merge(seen.transpose(1, 2).reshape(batch, frames, width)))
        fed = self.reduce(F.gelu(self.expand(self.feed_norm(x))))
        return x + self.dropout(fed)


class Head(nn.Module):
    """Logits of one codebook from a frame's state: layer norm, GELU layer, output layer."""

    def __init__(self, config: LmConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.width)
        self.expand = nn.Linear(config.width, config.head_hidden)
        self.output = nn.Linear(config.head_hidden, config.codebook_size)

    def forward(self, state: Tensor) -> Tensor:
        """Turn states [..., width] into logits [..., codebook_size]."""
        out: Tensor = self.output(F.gelu(self.expand(self.norm(state))))
        return out


def smooth_features(points: Tensor, count: int, both_signs: bool = False) -> Tensor:
    """Return functions [N, count] of points [N, dim], of about unit variance, smoothest first.

    Coordinates, squared norm, then random Fourier features (Rahimi and Recht, 2007) of growing
    frequency. ``both_signs`` gives the first two with either sign, for units that are one-sided.
    """
    unit = (points - points.mean(0)) / points.std()
    norm = unit.square().sum(-1, keepdim=True)
    plain = torch.cat([unit, (norm - norm.mean()) / norm.std()], dim=1)
    if both_signs:
        plain = torch.cat([plain, -plain], dim=1)
    waves = max(0, count - plain.shape[1])
    frequencies = torch.randn(points.shape[1], waves) * torch.linspace(0.2, 1.2, waves)
    phases = 2 * torch.pi * torch.rand(waves)
    return torch.cat([plain, 2**0.5 * (unit @ frequencies + phases).cos()], dim=1)[:, :count]


class CodeTransformer(nn.Module):
    """Log-odds of every code of a chunk, given all codes before it.

    The order is frame by frame and, within a frame, codebook by codebook. A transformer over
    frames, as EnCodec's (arXiv 2210.13438, section 3.3), sees the frames before; what it makes
    of them is the state from which the codes of the frame are foreseen. Unlike EnCodec's, each
    codebook's head also sees the frame's codes in the codebooks before, added to the state.
    """

    def __init__(self, config: LmConfig | None = None, dropout: float = 0.0) -> None:
        super().__init__()
        c = self.config = config or LmConfig()
        self.past = nn.ModuleList(CodeEmbedding(c) for _ in range(c.codebooks))
        self.present = nn.ModuleList(CodeEmbedding(c) for _ in range(c.codebooks))
        self.position = nn.Parameter(torch.randn(c.frames, c.width) * 0.1)
        self.count = nn.Parameter(torch.randn(c.codebooks + 1, c.width) * 0.1)
        self.layers = nn.ModuleList(Layer(c, dropout) for _ in range(c.layers))
        self.heads = nn.ModuleList(Head(c) for _ in range(c.codebooks))
        self.dropout = nn.Dropout(dropout)
        self.apply(self._initialise)

    @staticmethod
    def _initialise(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.5 / module.in_features**0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight, std=0.5)

    @torch.no_grad()
    def start_from(self, codebooks: list[Tensor]) -> None:
        """Start from the codec's own geometry, given by its entries [codebook_size, dim].

        Codes whose entries lie close together begin with similar vectors and similar logits.
        """
        for k, entries in enumerate(codebooks):
            for embedding in (self.past[k], self.present[k]):
                assert isinstance(embedding, CodeEmbedding)
                table = embedding.table.weight
                table.copy_(0.5 * smooth_features(entries, table.shape[1]))
            head = self.heads[k]
            assert isinstance(head, Head)
            weight = head.output.weight
            scale = 0.5 / weight.shape[1] ** 0.5
            weight.copy_(scale * smooth_features(entries, weight.shape[1], both_signs=True))

    def states(self, codes: Tensor) -> Tensor:
        """Turn codes [B, K, F] of K codebooks into the state [B, F, width] before each frame.

        The state of frame t depends on frames before t, on t and on K.
        """
        batch, books, frames = codes.shape
        x = self.position[:frames] + self.count[books]
        x = x.expand(batch, -1, -1)
        if frames > 1:
            past = sum(self.past[k](codes[:, k, :-1]) for k in range(books))
            assert isinstance(past, Tensor)
            x = torch.cat([x[:, :1], x[:, 1:] + past], dim=1)
        x = self.dropout(x)
        for layer in self.layers:
            x = layer(x)
        return x

    def forward(self, codes: Tensor) -> Tensor:
        """Turn codes [B, K, F] into logits [B, K, F, codebook_size].

        Those of [b, k, f] depend on codes[b, :, :f], on codes[b, :k, f] and on K.
        """
        state = self.states(codes)
        logits = []
        for k in range(codes.shape[1]):
            logits.append(self.heads[k](state))
            state = state + self.present[k](codes[:, k])
        return torch.stack(logits, dim=1)
