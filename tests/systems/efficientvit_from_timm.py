"""Makes `efficientvit_timm.json`: what timm's EfficientViT answers with weights that anybody can draw again.

Needs timm (and torchvision, which it imports) in an environment of its own; the project itself needs
neither. From the repository's root, with a Python that has them:

    python tests/systems/efficientvit_from_timm.py

Weights and image come from numpy's generator, seeded by the name of the parameter in timm, so that the
test draws the same ones for its own network and compares the answers; all in float64.
"""

import json
import re
import zlib
from pathlib import Path

import numpy as np

FIXTURE = Path(__file__).with_name("efficientvit_timm.json")
OUTPUTS = 5
GAIN = 0.8  # keeps the sums of many residual branches near 1, where a softmax is not saturated
CASES = {  # what is asked: the size, and the height and width of the image
    "m0, 224": ("m0", 224),  # maps of 14 x 14, 7 x 7 and 4 x 4: windows, one window, a smaller one
    "m0, 160": ("m0", 160),  # maps of 10 x 10: windows are filled up with zeros
    **{f"m{n}, 32": (f"m{n}", 32) for n in range(1, 6)},
}


def drawn(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a parameter or buffer, by its name in timm: no norm is trivial, no bias zero."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    values = rng.standard_normal(shape)
    if name.endswith("running_var"):
        return np.exp(0.3 * values)
    if name.endswith("bn.weight"):
        return 1 + 0.2 * values
    if name.endswith("attention_biases"):
        return values
    if len(shape) > 1:
        return GAIN * values / np.sqrt(np.prod(shape[1:]))
    return 0.2 * values


def image(side: int) -> np.ndarray:
    """One image, [1, 3, side, side]."""
    return np.random.default_rng(side).standard_normal((1, 3, side, side))


def timm_name(name: str) -> str:
    """The name in timm of a parameter of `workbench.systems.attention_cost.efficientvit`."""
    name = re.sub(r"^stem\.(\d+)\.", lambda m: f"patch_embed.conv{int(m[1]) // 2 + 1}.", name)
    name = re.sub(r"^stages\.(\d)\.0\.", r"stages.\1.downsample.", name)
    name = re.sub(r"^stages\.(\d)\.(\d+)\.", lambda m: f"stages.{m[1]}.blocks.{int(m[2]) - 1}.", name)
    for ours, theirs in RENAMED:
        name = re.sub(ours, theirs, name)
    return name


RENAMED = [
    # a downsampling: slice, inverted residual, slice
    (r"downsample\.0\.0\.branch\.", "downsample.res1.0.m."),
    (r"downsample\.0\.1\.branch\.0\.", "downsample.res1.1.m.pw1."),
    (r"downsample\.0\.1\.branch\.2\.", "downsample.res1.1.m.pw2."),
    (r"downsample\.1\.0\.", "downsample.patchmerge.conv1."),
    (r"downsample\.1\.2\.", "downsample.patchmerge.conv2."),
    (r"downsample\.1\.4\.reduce\.", "downsample.patchmerge.se.fc1."),
    (r"downsample\.1\.4\.expand\.", "downsample.patchmerge.se.fc2."),
    (r"downsample\.1\.5\.", "downsample.patchmerge.conv3."),
    (r"downsample\.2\.0\.branch\.", "downsample.res2.0.m."),
    (r"downsample\.2\.1\.branch\.0\.", "downsample.res2.1.m.pw1."),
    (r"downsample\.2\.1\.branch\.2\.", "downsample.res2.1.m.pw2."),
    # a sandwich: slice, attention, slice
    (r"(blocks\.\d+)\.0\.0\.branch\.", r"\1.dw0.m."),
    (r"(blocks\.\d+)\.0\.1\.branch\.0\.", r"\1.ffn0.m.pw1."),
    (r"(blocks\.\d+)\.0\.1\.branch\.2\.", r"\1.ffn0.m.pw2."),
    (r"(blocks\.\d+)\.2\.0\.branch\.", r"\1.dw1.m."),
    (r"(blocks\.\d+)\.2\.1\.branch\.0\.", r"\1.ffn1.m.pw1."),
    (r"(blocks\.\d+)\.2\.1\.branch\.2\.", r"\1.ffn1.m.pw2."),
    (r"(blocks\.\d+)\.1\.branch\.inside\.", r"\1.mixer.m.attn."),
    (r"attn\.ask\.", "attn.qkvs."),
    (r"attn\.look\.", "attn.dws."),
    (r"attn\.project\.", "attn.proj.1."),
    (r"attn\.bias$", "attn.attention_biases"),
    (r"\.norm\.", ".bn."),
]


def main() -> None:
    import timm
    import torch

    answers, parameters = {}, {}
    for case, (size, side) in CASES.items():
        model = timm.create_model(f"efficientvit_{size}", img_size=side, num_classes=OUTPUTS).double().eval()
        state = model.state_dict()
        for name, value in state.items():
            if value.is_floating_point():
                value.copy_(torch.from_numpy(drawn(name, tuple(value.shape))))
        with torch.no_grad():
            answers[case] = model(torch.from_numpy(image(side))).numpy().round(12).tolist()
        whole = timm.create_model(f"efficientvit_{size}")
        parameters[size] = sum(p.numel() for p in whole.parameters())
    made = {
        "made by": "tests/systems/efficientvit_from_timm.py",
        "timm": timm.__version__,
        "torch": torch.__version__,
        "parameters of 224 x 224 and 1000 classes": parameters,
        "answers": answers,
    }
    FIXTURE.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
