"""Facial hair."""

import numpy as np

from keras_faramtn.synthetic.drawing.canvas import (
    Canvas,
    Colour,
    mirrored,
    mix,
    moved,
    shade,
    smooth,
)
from keras_faramtn.synthetic.drawing.face import MOUTH_Y, Face

_BEARDS = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")


def _beard_colour(face: Face) -> Colour:
    return mix(shade(face.hair, 0.72), (30, 22, 18), 0.2)


def _jaw_band(face: Face, top: float, depth: float) -> np.ndarray:
    """A band along the jaw from height `top` downwards, at most `depth` wide, as a polygon."""
    outer = face.outline[face.outline[:, 1] > top]
    outer = outer[np.argsort(np.arctan2(outer[:, 0], outer[:, 1] - 100))] + (0, 0.5)
    depths = depth * ((outer[:, 1] - top) / 20).clip(0.35, 1)
    inner = outer * np.stack([1 - depths / 42, np.ones_like(depths)], axis=1)
    inner[:, 1] -= depths * np.exp(-((outer[:, 0] / 26) ** 2))
    return np.concatenate([outer, inner[::-1]])


def stubble(canvas: Canvas, face: Face) -> None:
    """Stubble on the jaw and the upper lip."""
    if not face.has("5_o_Clock_Shadow"):
        return
    tint = mix(shade(face.skin, 0.45), (44, 52, 62), 0.55)
    canvas.area(_jaw_band(face, 130, 15), tint, 0.38)
    upper_lip = [(-18, 148), (-9, 137), (9, 137), (18, 148), (0, 143.5)]
    canvas.area(moved(smooth(upper_lip, closed=True), face.turn * 1.2), tint, 0.45)
    rng = face.person.noise(4)
    across, y = rng.uniform(-1, 1, 460), rng.uniform(134, 168, 460)
    x = across * (face.edge(y) - 3)
    clear = np.hypot((x - face.turn) / 21, (y - MOUTH_Y - 2) / 8.5) > 1
    low = (y > 139 + 0.004 * (x - face.turn) ** 2) | (np.abs(x) > 25)
    canvas.dots(np.stack([x, y], axis=1)[clear & low], 0.36, shade(tint, 0.5), 0.7)


def full_beard(canvas: Canvas, face: Face) -> None:
    """A short beard along the jaw, for a beard that is none of the named kinds."""
    if face.has("No_Beard", *_BEARDS):
        return
    colour = _beard_colour(face)
    canvas.area(_jaw_band(face, 104, 15), colour, 0.92)
    _strands_of_beard(canvas, face, (face.edge(150) - 6, 158, face.chin - 2), 50, colour)


def goatee(canvas: Canvas, face: Face) -> None:
    """A beard on the chin."""
    if not face.has("Goatee"):
        return
    colour = _beard_colour(face)
    top = MOUTH_Y + face.amount("Mouth_Slightly_Open", (8, 8), (13, 13), 0)
    top += face.amount("Big_Lips", (0, 0), (4, 4), 0)
    half = [(0, top), (8, top + 1), (14, 160), (12, face.chin), (0, face.chin + 6)]
    canvas.area(moved(smooth(mirrored(half), closed=True), face.turn), colour, 0.95)
    _strands_of_beard(canvas, face, (12, top + 4, face.chin + 3), 40, colour)


def mustache(canvas: Canvas, face: Face) -> None:
    """Hair on the upper lip."""
    if not face.has("Mustache"):
        return
    colour = _beard_colour(face)
    lift = 0.4 * face.amount("Mouth_Slightly_Open", (0, 0), (7, 7), 0)
    half = [(0, 139.5), (9, 139), (18, 146), (22, 153), (12, 149.5), (0, 147)]
    shape = moved(smooth(mirrored(half), closed=True), face.turn * 1.2, 0.5 - lift)
    canvas.area(shape, colour, 0.97)
    rng = face.person.noise(5)
    for x in rng.uniform(-17, 17, 26):
        y = 141.5 - lift + 0.018 * x * x + rng.uniform(0, 3)
        hair = moved([(x, y), (x * 1.12, y + 4)], face.turn * 1.2)
        canvas.stroke(hair, 0.9, shade(colour, 1.45), 0.7, taper=False)


def _strands_of_beard(
    canvas: Canvas, face: Face, area: tuple[float, float, float], count: int, colour: Colour
) -> None:
    half, top, bottom = area
    rng = face.person.noise(6)
    across, down = rng.uniform(-1, 1, count), rng.uniform(0, 1, count)
    for x, y in zip(half * across, top + (bottom - top) * down, strict=True):
        inside = abs(x) < face.edge(min(y, face.chin - 3)) - 2 and (abs(x) > 20 or y > 162)
        if inside or half < 15:
            hair = moved([(x, y - 2.5), (x * 1.03, y + 2)], face.turn * 0.8)
            canvas.stroke(hair, 0.9, shade(colour, 1.5), 0.6, taper=False)


def sideburns(canvas: Canvas, face: Face) -> None:
    """Hair in front of the ears."""
    if not face.has("Sideburns"):
        return
    colour = _beard_colour(face)
    for side in (-1, 1):
        outer = [(face.edge(y) + 0.5, y) for y in (96, 108, 120, 132, 142)]
        inner = [(face.edge(142) - 12, 141), (face.edge(125) - 10, 125), (face.edge(96) - 7, 96)]
        canvas.area(smooth(outer + inner, closed=True) * (side, 1), colour, 0.96)
        for y in range(100, 140, 3):
            x = face.edge(y) - 4 - (y % 4)
            hair = np.array([(x, y), (x - 2, y + 4.0)]) * (side, 1)
            canvas.stroke(hair, 0.9, shade(colour, 1.5), 0.6, taper=False)
