"""Rules for mixers of tokens whose operators the receptive field cannot be followed through.

receptive_field(net, shape, rules=MIXER_RULES)
"""

from typing import Any, Literal

from workbench.layers.sparse_low_rank_attention import SparseLowRankAttention2d

MIXER_RULES: dict[Any, Literal["pointwise", "everything"]] = {SparseLowRankAttention2d: "everything"}
