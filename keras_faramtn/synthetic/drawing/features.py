"""Eyes, brows, nose and mouth."""

import math

import numpy as np

from keras_faramtn.synthetic.drawing.canvas import Canvas, Colour, mix, moved, shade, smooth
from keras_faramtn.synthetic.drawing.face import BROWS_Y, EYES_Y, MOUTH_Y, NOSE_Y, Face, pick

_IRIS: tuple[Colour, ...] = (
    (88, 54, 30),
    (52, 34, 24),
    (70, 120, 160),
    (82, 122, 80),
    (110, 96, 60),
)

_LIPSTICK: tuple[Colour, ...] = ((200, 16, 46), (168, 20, 72), (222, 40, 110), (140, 16, 40))

_EYE_SHADOW: tuple[Colour, ...] = ((84, 66, 160), (40, 112, 150), (150, 50, 130), (60, 60, 74))


def make_up(canvas: Canvas, face: Face) -> None:
    """Eye shadow. Eyeliner and lashes are drawn with the eyes."""
    if not face.has("Heavy_Makeup"):
        return
    colour = pick(_EYE_SHADOW, face.person.make_up)
    for x, y, side in face.eyes():
        lid = [(x - side * 10, y), (x - side * 2, y - 8.5), (x + side * 14, y - 7.5)]
        lower = [(x + side * 10, y + 1), (x, y - 2)]
        canvas.area(smooth(lid + lower, closed=True), colour, 0.75)
        canvas.glow(x + side * 3, y - 4, 14, 9, colour, 0.55)


def eyes(canvas: Canvas, face: Face) -> None:
    """Eyes with lid, lashes and liner."""
    p = face.person
    wide = 9.2 + 1.2 * p.eye_size
    tall = face.amount("Narrow_Eyes", (4.9, 5.8), (1.7, 2.1), p.eye_size)
    iris = pick(_IRIS, p.eye_colour)
    made_up = face.has("Heavy_Makeup")
    across = np.linspace(-1, 1, 13)
    lid = 1 - across**2
    for x, y, side in face.eyes():
        upper = np.stack([x + wide * across, y - 1.1 * tall * lid - 0.8 * side * across], axis=1)
        lower = np.stack([x + wide * across, y + 0.85 * tall * lid - 0.8 * side * across], axis=1)
        canvas.area(np.concatenate([upper, lower[::-1]]), (246, 243, 240))
        gaze = x + 2.4 * (p.gaze - 0.5) + 0.2 * face.turn
        for radius, colour in ((4.9, shade(iris, 0.6)), (4.2, iris), (2.1, (8, 8, 10))):
            turn = np.linspace(0, 2 * math.pi, 24, endpoint=False)
            disc = np.stack([gaze + radius * np.cos(turn), y + radius * np.sin(turn)], axis=1)
            disc[:, 1] = disc[:, 1].clip(
                np.interp(disc[:, 0], *upper.T), np.interp(disc[:, 0], *lower.T)
            )
            canvas.area(disc, colour)
        canvas.oval(gaze - 1.4, y - min(1.6, tall / 2), 0.9, min(0.9, tall / 3), (255, 255, 255))
        canvas.stroke(upper - (0, 2.6), 1.0, shade(face.skin, 0.62), 0.8)
        canvas.stroke(lower, 0.9, shade(face.skin, 0.6), 0.8)
        if made_up:
            outer = upper if side > 0 else upper[::-1]
            wing = np.concatenate([outer, [(x + side * (wide + 5), y - 5.5)]])
            canvas.stroke(wing, np.linspace(1.5, 4.5, len(wing)), (12, 8, 12))
            canvas.stroke(lower, 1.8, (20, 12, 16), 0.9)
        else:
            canvas.stroke(upper, 1.7, mix(face.skin, (24, 14, 12), 0.85))
        if made_up or not face.has("Male"):
            _lashes(canvas, upper[3:-1] if side > 0 else upper[1:-3], side, 4.2 if made_up else 2.4)


def _lashes(canvas: Canvas, lid: np.ndarray, side: int, length: float) -> None:
    lean = np.array([(0.0, 0.0), (side * 0.45, -1.0)]) * length
    for root in lid[::2] if length < 3 else lid:
        canvas.stroke(root + lean, 0.9, (16, 10, 12), taper=False)


def brows(canvas: Canvas, face: Face) -> None:
    """Eyebrows."""
    p = face.person
    colour = mix(shade(face.hair, 0.62), (40, 28, 22), 0.35)
    thick = face.amount("Bushy_Eyebrows", (2.8, 3.8), (7.2, 8.4), p.brows)
    peak = face.amount("Arched_Eyebrows", (0, 1), (6, 7.5), p.brows)
    hairs = face.person.noise(3).normal(0, 1, (2, 26, 2))
    for eye, (x, y, side) in enumerate(face.eyes()):
        rise = y - (EYES_Y - BROWS_Y)
        line = [
            (-10, 0.4 - 0.35 * peak),
            (-5, -0.3 - 0.75 * peak),
            (1, -0.8 - peak),
            (7, -0.5 - 0.75 * peak),
            (13, 1.6 + 0.3 * peak),
        ]
        brow = moved(smooth(line) * (side, 1), x, rise - 0.12 * peak)
        width = thick * np.linspace(1, 0.45, len(brow))
        canvas.stroke(brow, width, colour, 0.92, taper=False)
        if face.has("Bushy_Eyebrows"):
            roots = brow[np.linspace(0, len(brow) - 3, 26).astype(int)] + 0.9 * hairs[eye]
            for root, (lean, _) in zip(roots, hairs[eye], strict=True):
                tip = moved(root, side * (1.6 + lean), -4.6)
                canvas.stroke(np.array([root, tip]), 0.9, colour, 0.9, taper=False)


def nose(canvas: Canvas, face: Face) -> None:
    """The nose, with a round or a pointed tip."""
    p = face.person
    wing = face.amount("Big_Nose", (6.0, 7.2), (12.5, 14.5), p.nose)
    base = NOSE_Y + face.amount("Big_Nose", (-1, 0.5), (4, 5.5), p.nose)
    bridge = 0.4 * wing
    x = face.turn * 1.4 + face.crooked(1.6)
    dark, light = shade(face.skin, 0.66), shade(face.skin, 1.16)
    for side in (-1, 1):
        flank = [(side * 3.5, 103), (side * bridge, 118), (side * wing * 0.9, base - 6)]
        canvas.stroke(moved(smooth(flank), x), 2.4, shade(face.skin, 0.76), 0.55 + 0.2 * side)
        wings = [
            (side * wing * 0.8, base - 7),
            (side * wing, base - 3),
            (side * wing * 0.85, base + 0.6),
            (side * wing * 0.55, base),
        ]
        canvas.stroke(moved(smooth(wings), x), 2.0, dark, 0.95)
        canvas.oval(x + side * wing * 0.47, base - 0.3, wing * 0.24, wing * 0.13, shade(dark, 0.45))
    if face.has("Pointy_Nose"):
        tip = np.array([(-6, base - 2), (0, base + 8.5), (6, base - 2), (0, base - 11)])
        canvas.area(moved(tip, x), light)
        canvas.stroke(moved(tip[:3], x), 2.0, shade(dark, 0.8), taper=False)
        canvas.stroke(np.array([(x, 106.0), (x, base)]), 3.2, shade(face.skin, 1.25), 0.8)
    else:
        canvas.glow(x, base - 5, wing, 9, shade(face.skin, 1.08), 0.8)
        base_line = smooth([(-wing * 0.5, base), (0, base + 2.4), (wing * 0.5, base)])
        canvas.stroke(moved(base_line, x), 1.8, dark, 0.9)
        canvas.glow(x, base - 6, wing * 0.75, 6.5, light, 0.9)


def mouth(canvas: Canvas, face: Face) -> None:
    """Lips, teeth, and the dimples of a smile."""
    p = face.person
    smiling = face.has("Smiling")
    half = face.amount("Smiling", (13, 14.5), (18, 20), p.mouth)
    curl = face.amount("Smiling", (0.3, 1.8), (7, 9), p.smile)
    thick = face.amount("Big_Lips", (3.0, 3.9), (7.2, 8.4), p.lips)
    gap = face.amount("Mouth_Slightly_Open", (0, 0), (6.5, 8.5), p.mouth)
    t = np.linspace(-1, 1, 25)
    arc = np.sqrt(1 - t**2)
    x = face.turn * 1.2 + half * t
    middle = MOUTH_Y + 1.5 + curl * (0.45 - t**2) + face.crooked(2.6) * t
    bow = 1 - 0.35 * np.exp(-((t / 0.16) ** 2))
    heights = {
        "top": middle - thick * 0.8 * arc**1.2 * bow - 0.45 * gap * (1 - t**2),
        "upper": middle - 0.45 * gap * (1 - t**2),
        "lower": middle + 0.55 * gap * (1 - t**2),
        "bottom": middle + (0.55 * gap + thick * 1.15) * arc,
    }
    edge = {name: np.stack([x, y], axis=1) for name, y in heights.items()}

    def between(above: str, below: str) -> np.ndarray:
        return np.concatenate([edge[above], edge[below][::-1]])

    if face.has("Wearing_Lipstick"):
        lips = pick(_LIPSTICK, p.make_up)
    else:
        lips = mix(shade(face.skin, 0.86), (190, 66, 72), 0.46)
    canvas.glow(float(x[12]), heights["bottom"][12] + 3, 11, 4, shade(face.skin, 0.72), 0.7)
    canvas.area(between("lower", "bottom"), shade(lips, 1.08))
    canvas.area(between("top", "upper"), shade(lips, 0.88))
    shine = heights["lower"][12] + thick * 0.55
    canvas.glow(float(x[12]), shine, 7, thick * 0.4, (255, 235, 230), 0.4)
    if gap:
        canvas.area(between("upper", "lower"), (66, 16, 20))
        teeth = np.minimum(0.5 * gap, heights["lower"] - heights["upper"]) + heights["upper"]
        edge["teeth"] = np.stack([x, teeth], axis=1)
        canvas.area(between("upper", "teeth"), (246, 243, 236))
    else:
        canvas.stroke(edge["upper"], 1.5, shade(mix(face.skin, lips, 0.5), 0.4), 0.9)
    if smiling:
        for side, corner in ((-1, edge["upper"][0]), (1, edge["upper"][-1])):
            dimple = [(side * 2, -5), (side * 4.5, 0), (side * 2.5, 5.5)]
            canvas.stroke(moved(smooth(dimple), *corner), 2.0, shade(face.skin, 0.58), 0.8)
