"""Guards: colours too faint to see, and engines that a colour-blind reader cannot tell apart."""

import itertools
import re

import numpy as np
import pytest

from bench.report.charts.style import ENGINES
from bench.report.render import FOLDER

# Machado, Oliveira, Fernandes 2009, severity 1: linear RGB as it is seen.
SEEN_AS = {
    "trichromat": np.eye(3),
    "protanope": np.array([[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                           [-0.003882, -0.048116, 1.051998]]),
    "deuteranope": np.array([[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                             [-0.01182, 0.04294, 0.968881]]),
    "tritanope": np.array([[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                           [0.004733, 0.691367, 0.3039]]),
}  # fmt: skip
APART = 10
"""Least distance in CIELAB; 2.3 is just seen side by side."""
XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
WHITE = XYZ.sum(axis=1)


@pytest.fixture(params=[0, 1], ids=["light", "dark"])
def colours(request: pytest.FixtureRequest) -> dict[str, np.ndarray]:
    """Linear RGB by the page's names, in one theme."""
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", (FOLDER / "style.css").read_text())
    return {name: _linear(pair[request.param]) for name, *pair in found}


@pytest.mark.parametrize("ground", ["paper", "card"])
def test_contrast_is_enough(colours: dict[str, np.ndarray], ground: str) -> None:
    """WCAG 2: 3:1 for marks, 4.5:1 for text."""
    wanted = {name.replace("+", "-"): 3.0 for name in ENGINES} | {"ink": 4.5, "muted": 4.5, "accent": 4.5}
    for name, least in wanted.items():
        low, high = sorted(float(XYZ[1] @ colours[one]) for one in (name, ground))
        assert (high + 0.05) / (low + 0.05) >= least, name


@pytest.mark.parametrize("reader", SEEN_AS)
def test_engines_are_told_apart(colours: dict[str, np.ndarray], reader: str) -> None:
    seen = {name: _lab(SEEN_AS[reader] @ colours[name.replace("+", "-")]) for name in ENGINES}
    for one, other in itertools.combinations(ENGINES, 2):
        assert np.linalg.norm(seen[one] - seen[other]) >= APART, (one, other)


def _linear(text: str) -> np.ndarray:
    share = np.array([int(text[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def _lab(linear: np.ndarray) -> np.ndarray:
    part = np.cbrt(XYZ @ np.clip(linear, 0, 1) / WHITE)
    return np.array([116 * part[1] - 16, 500 * (part[0] - part[1]), 200 * (part[1] - part[2])])
