"""Lists the points to measure, in groups that share a process, the most important first."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from tfbp.gpu_report.sizes import SIZES, Size, five_of_64

# shares of the time, by section; the time that a section leaves is used when all have had their share
SHARES = {"agreement": 0.35, "steps": 0.45, "cross-entropy": 0.1, "parts": 0.1}
# the label of each contestant, and its module
CONTESTANTS = {
    "tfbp": ("tfbp.Model, manual", "tfbp_model.GpuTfbpModel"),
    "keras": ("Keras fit", "keras_fit.GpuKerasFit"),
    "jax": ("JAX, scan of an epoch", "jax_scan.GpuJaxScan"),
    "torch": ("PyTorch, torch.compile", "torch_compiled.GpuTorchCompiled"),
}
PRECISIONS = ("float32", "tf32", "bfloat16")
HEADS = ("manual", "tape")
MOST_STEPS = 200
# the number of networks of the matrix: all, except where XLA compiles each for seconds
EVERY = {"eager": 1, "graph": 1, "xla": 4}


@dataclass(frozen=True)
class Group:
    """Points of a section that one process measures, one after another."""

    section: str
    points: tuple[dict[str, Any], ...]

    def id_of(self, point: dict[str, Any]) -> str:
        """Returns a point's name in the report's JSON."""
        return " ".join([self.section, *(str(point[key]) for key in point["names"] if point[key])])


def plan(small: bool) -> list[Group]:
    """Returns every group; `small` without an accelerator: it shows only that the report runs.

    Example:
        >>> [group.section for group in plan(small=True)]
        ['agreement', 'steps', 'steps', 'steps', 'steps', 'cross-entropy', 'cross-entropy', 'parts']
        >>> max(len(group.points) for group in plan(small=False))
        15
    """
    return [*_agreement(small), *_steps(small), *_cross_entropy(small), *_parts(small)]


def _agreement(small: bool) -> list[Group]:
    others = [(dtype, False) for dtype in ("float64", "bfloat16", "float16")]
    kinds = [("float32", False), ("float32", True), *others]
    chosen = [("graph", "float32", False)] if small else [(mode, *kind) for mode in EVERY for kind in kinds]
    points = tuple(
        {
            "names": ("dtype", "mode", "tf32"),
            "dtype": dtype,
            "mode": mode,
            "tf32": "TF32" if tf32 else "",
            "every": 20 if small else EVERY[mode],
            "beside": not small and mode == "graph",
        }
        for mode, dtype, tf32 in chosen
    )
    return [Group("agreement", points)]


def _steps(small: bool) -> list[Group]:
    waves: list[list[tuple[str, Size, tuple[str, ...]]]]
    if small:
        classifier = Size((64, 32, 10), 32, 32)
        waves = [[("64-32-10-b32", classifier, ("float32",)), ("64x5-b2^10", five_of_64(10), ("bfloat16",))]]
    else:
        # an epoch of single calls takes seconds with thousands of steps
        sizes = {name: replace(size, steps=min(size.steps, MOST_STEPS)) for name, size in SIZES.items()}
        sizes |= {f"64x5-b2^{power}": five_of_64(power) for power in (14, 16, 18, 20)}
        first = ("784-128-10-b128", "784-512-512-10-b128", "64x5-b2^16", "64x5-b2^20")
        # with a few numbers per step, no product is long enough to be faster in another precision
        precisions = {
            name: ("float32",) if max(size.widths) <= 64 > size.batch else PRECISIONS for name, size in sizes.items()
        }
        waves = [
            [(name, sizes[name], PRECISIONS) for name in first],
            [(name, size, precisions[name]) for name, size in sizes.items() if name not in first],
        ]
    return [
        Group(
            "steps",
            tuple(
                {
                    "names": ("contestant", "size", "precision"),
                    "contestant": contestant,
                    "size": name,
                    "precision": precision,
                    **asdict(size),
                    "rounds": 3 if small else 7,
                    "seconds": 0.02 if small else 0.1,
                }
                for name, size, precisions in wave
                for precision in precisions
            ),
        )
        for wave in waves
        for contestant in CONTESTANTS
    ]


def _cross_entropy(small: bool) -> list[Group]:
    points = [("graph", 256, 32, 2048)] if small else [("graph", 8192, 1024, 32768), ("xla", 8192, 1024, 131072)]
    return [
        Group(
            "cross-entropy",
            (
                {
                    "names": ("contestant", "mode", "classes"),
                    "contestant": contestant,
                    "mode": mode,
                    "tokens": tokens,
                    "width": width,
                    "classes": classes,
                    "rounds": 3 if small else 7,
                },
            ),
        )
        for mode, tokens, width, classes in points
        for contestant in HEADS
    ]


def _parts(small: bool) -> list[Group]:
    if small:
        sizes = {"64-32-10-b32": Size((64, 32, 10), 32, 32)}
    else:
        sizes = {name: SIZES[name] for name in ("784-128-10-b128", "784-512-512-10-b128")}
        sizes["64x5-b2^16"] = five_of_64(16)
    points = tuple(
        {
            "names": ("size",),
            "size": name,
            **asdict(size),
            "rounds": 3 if small else 7,
            "seconds": 0.02 if small else 0.1,
        }
        for name, size in sizes.items()
    )
    return [Group("parts", points)]
