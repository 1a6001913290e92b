"""Hair on the head."""

import math

import numpy as np

from keras_faramtn.synthetic.drawing.canvas import Canvas, Colour, mirrored, mix, shade, smooth
from keras_faramtn.synthetic.drawing.face import Face


def behind(canvas: Canvas, face: Face) -> None:
    """Long hair behind neck and shoulders."""
    if not face.has_long_hair():
        return
    wide, bottom = _long_hair_size(face)
    half = [(0, 40), (wide - 8, 62), (wide, 110), (wide - 3, bottom - 6), (wide - 14, bottom)]
    canvas.area(smooth(mirrored(half), closed=True), shade(face.hair, 0.62))


def bun(canvas: Canvas, face: Face) -> None:
    """Hair in a bun above the head."""
    if face.has("Male", "Bald") or face.has_long_hair():
        return
    canvas.oval(0, 31, 19, 16, shade(face.hair, 0.75))
    canvas.oval(-3, 28, 12, 9, face.hair)


def locks(canvas: Canvas, face: Face) -> None:
    """Long hair in front of ears and shoulders."""
    if not face.has_long_hair():
        return
    wide, bottom = _long_hair_size(face)
    y = np.linspace(62, bottom, 30)
    down = (y - 62) / (bottom - 62)
    waves = _wave(y, face, 5)
    fade = np.minimum(1, 4 * down)
    outer = wide - 9 + 11 * np.sqrt(down) + waves * fade
    inner = np.maximum(37 + 5 * down, face.edge(y) * (y < face.chin) - 3) + 0.6 * waves * fade
    for side in (-1, 1):
        lock = np.concatenate([np.stack([outer, y], 1), np.stack([inner, y], 1)[::-1]])
        if face.has("Straight_Hair"):
            ends = np.linspace(outer[-1], inner[-1], 7)[1:-1]
            jags = np.stack([ends, bottom + np.array([9, 0, 9, 0, 9.0])], 1)
            lock = np.insert(lock, len(outer), jags, axis=0)
        else:
            round_end = [((outer[-1] + inner[-1]) / 2, bottom + 6)]
            lock = np.insert(lock, len(outer), round_end, axis=0)
        canvas.area(lock * (side, 1), face.hair)
        for number, fraction in enumerate((0.2, 0.4, 0.6, 0.8) if _strands(face) else (0.5,)):
            strand = np.stack([inner + (outer - inner) * fraction, y], 1) * (side, 1)
            if _strands(face):
                canvas.stroke(strand, 1.8, _strand_colour(face, number), 0.65)
            else:
                canvas.stroke(strand, 7, shade(face.hair, 1.2), 0.35)


def on_top(canvas: Canvas, face: Face) -> None:
    """The hair above the face, or the shine of a bald head."""
    if face.has("Bald"):
        canvas.glow(-10, 58, 17, 9, (255, 252, 244), 0.75)
        canvas.glow(0, 62, 30, 16, shade(face.skin, 1.15), 0.5)
        return
    hairline = _hairline(face)
    crown = _crown(face, hairline)
    canvas.area(np.concatenate([crown, hairline[::-1]]), face.hair)
    canvas.stroke(hairline, 1.6, shade(face.hair, 0.6), 0.6)
    swing = _wave(np.linspace(0, 130, len(crown)), face, 3.2, 26)[:, None]
    fractions = np.linspace(0.1, 0.92, 9) if _strands(face) else (0.35,)
    for number, fraction in enumerate(fractions):
        strand = crown + (hairline - crown) * fraction + (0, 1) * swing
        if _strands(face):
            canvas.stroke(strand, 1.3, _strand_colour(face, number), 0.55)
        else:
            canvas.stroke(strand, 8, shade(mix(face.hair, (255, 250, 245), 0.06), 1.15), 0.45)


def bangs(canvas: Canvas, face: Face) -> None:
    """A fringe."""
    if not face.has("Bangs") or face.has("Bald"):
        return
    reach = face.edge(80) - 3
    x = np.linspace(-reach, reach, 19)
    top = 58 + 14 * (x / reach) ** 2
    ends = 90 + 2.5 * np.cos(3 * x / reach) + np.where(np.arange(19) % 2, -4, 0)
    ends += _wave(3 * x, face, 1.8)
    fringe = np.concatenate([np.stack([x, top], 1), np.stack([x, ends], 1)[::-1]])
    canvas.area(fringe, face.hair)
    for number, (left, high, low) in enumerate(zip(x[1:-1], top[1:-1], ends[1:-1], strict=True)):
        y = np.linspace(high, low, 7)
        strand = np.stack([left + _wave(y, face, 1.2), y], axis=1)
        canvas.stroke(strand, 1.3, _strand_colour(face, number), 0.6)


def _long_hair_size(face: Face) -> tuple[float, float]:
    """Half the width of long hair, and the height of its lower end."""
    return 54 + 6 * face.person.hair_volume, 158 + 46 * face.person.hair_length


def _wave(y: np.ndarray, face: Face, reach: float, length: float = 27.0) -> np.ndarray:
    """The sideways displacement of wavy hair at heights `y`; 0 for other hair."""
    if not face.has("Wavy_Hair"):
        return np.zeros_like(y)
    return reach * np.sin(2 * math.pi * (y / length + face.person.parting))


def _strands(face: Face) -> bool:
    return face.has("Straight_Hair", "Wavy_Hair")


def _strand_colour(face: Face, number: int) -> Colour:
    """Alternately light and dark, to be visible on black hair too."""
    if number % 2:
        return shade(face.hair, 0.6)
    return mix(face.hair, (255, 245, 235), 0.22)


def _hairline(face: Face) -> np.ndarray:
    """The lower edge of the hair from the left ear to the right one, `(n, 2)`."""
    side = 100 if face.has("Male") else 96
    if face.has("Receding_Hairline"):
        half = [(43.5, side), (41, 84), (35, 67), (25, 55), (13, 55), (0, 64)]
    else:
        half = [(43.5, side), (40, 85), (34, 76), (22, 72), (10, 72), (0, 72)]
    half = np.array(half) * (face.edge(95) / 43, 1)
    curve = smooth(np.concatenate([half * (-1, 1), half[-2::-1]]))
    if not face.has("Receding_Hairline"):
        # The hairline rises at the parting.
        parting = 36 * (face.person.parting - 0.5)
        curve[:, 1] -= 4 * np.exp(-(((curve[:, 0] - parting) / 6) ** 2))
    return curve


def _crown(face: Face, hairline: np.ndarray) -> np.ndarray:
    """The upper edge of the hair, with one point for each point of `hairline`."""
    p = face.person
    top = 38 - 7 * p.hair_volume
    reach = face.edge(95) + 3.5 + 2 * p.hair_volume
    angle = np.linspace(math.pi, 0, len(hairline))
    side = hairline[0, 1]
    curve = np.stack([reach * np.cos(angle), side - (side - top) * np.sin(angle) ** 0.75], axis=1)
    index = np.arange(len(angle))
    away = curve - (0, 90)
    away /= np.hypot(*away.T)[:, None]
    if face.has("Wavy_Hair"):
        curve += away * (3 * (1 + np.sin(index * 0.7)))[:, None]
    elif face.has("Straight_Hair") and face.has("Male"):
        curve += away * ((index % 6) * 1.3 * np.sin(angle))[:, None]
    return curve
