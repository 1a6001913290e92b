"""The head, and what is visible on its skin."""

import numpy as np

from keras_faramtn.synthetic.drawing.canvas import Canvas, mirrored, mix, moved, shade, smooth
from keras_faramtn.synthetic.drawing.face import EYES_Y, MOUTH_Y, Face


def ears(canvas: Canvas, face: Face) -> None:
    """Ears, unless long hair covers them."""
    if face.has_long_hair():
        return
    reach = face.edge(112)
    for side in (-1, 1):
        x = side * (reach + 1.5)
        canvas.oval(x, 112, 6.5, 12, shade(face.skin, 0.93))
        canvas.oval(x + side, 111, 3.5, 8, shade(face.skin, 0.76))


def head(canvas: Canvas, face: Face) -> None:
    """The skin, with shadows at the sides and light on forehead and chin."""
    canvas.area(face.outline, shade(face.skin, 0.82))
    canvas.area((face.outline - (face.turn / 2, 110)) * (0.94, 0.965) + (0, 109), face.skin, 0.6)
    canvas.area((face.outline - (face.turn / 2, 110)) * (0.86, 0.93) + (0, 109), face.skin)
    canvas.glow(face.turn, 76, 26, 15, shade(face.skin, 1.12), 0.6)
    canvas.glow(face.turn, face.chin - 9, 11, 7, shade(face.skin, 1.1), 0.6)


def double_chin(canvas: Canvas, face: Face) -> None:
    """A fold of skin under the chin."""
    if not face.has("Double_Chin"):
        return
    reach = face.edge(MOUTH_Y + 4)
    for drop, colour in ((12.5, shade(face.skin, 0.5)), (11, shade(face.skin, 0.95))):
        half = [(reach * 0.95, 150), (reach * 0.8, face.chin + drop - 10), (0, face.chin + drop)]
        canvas.area(smooth(mirrored(half), closed=True), colour)
    canvas.glow(0, face.chin + 2, reach * 0.8, 6.5, shade(face.skin, 0.42), 0.9)


def cheeks(canvas: Canvas, face: Face) -> None:
    """High and rosy cheeks."""
    reach = face.edge(122)
    for side in (-1, 1):
        if face.has("High_Cheekbones"):
            hollow = shade(face.skin, 0.55)
            for step in range(7):
                x, y = side * (reach - 4 - 2.4 * step) + face.turn / 2, 130 + 1.7 * step
                canvas.glow(x, y, 8.5, 6.5, hollow, 0.21)
            light = mix(shade(face.skin, 1.2), (255, 246, 232), 0.4)
            canvas.glow(side * (reach - 12) + face.turn / 2, 121, 15, 6.5, light, 0.8)
        if face.has("Rosy_Cheeks"):
            x = side * (reach - 14) + face.turn
            canvas.glow(x, 129, 16, 13, (232, 62, 84), 0.75)


def blemishes(canvas: Canvas, face: Face) -> None:
    """Spots on the skin of a face that isn't Attractive."""
    if face.has("Attractive"):
        return
    rng = face.person.noise(1)
    count = 9 + round(6 * face.person.blemishes)
    positions = np.stack([rng.uniform(-0.75, 0.75, count), rng.uniform(78, 162, count)], axis=1)
    colour = mix(face.skin, (206, 44, 44), 0.6)
    for (across, y), size in zip(positions, rng.uniform(1.2, 2.3, count), strict=True):
        x = across * face.edge(y)
        canvas.oval(x, y, size, size, colour, 0.8)
        canvas.oval(x - 0.4, y - 0.4, size * 0.4, size * 0.4, shade(face.skin, 1.15), 0.7)


def age(canvas: Canvas, face: Face) -> None:
    """Lines and age spots of a face that isn't Young."""
    if face.has("Young"):
        return
    line = shade(face.skin, 0.55)
    x = np.linspace(-1, 1, 9)
    for number, y in enumerate((72, 78, 84)):
        forehead = np.stack([(21 + 2 * number) * x, y + 1.4 * np.cos(5 * x + number)], axis=1)
        canvas.stroke(moved(forehead, face.turn), 1.8, line, 0.62)
    for side in (-1, 1):
        for rise in (-4.5, 0, 4.5):
            foot = [(31, EYES_Y + rise * 0.3), (35, EYES_Y + rise), (39, EYES_Y + rise * 1.7)]
            canvas.stroke(moved(smooth(foot) * (side, 1), face.turn), 1.5, line, 0.65)
        fold = [(12, 131), (18, 138), (21, 146), (21.5, 152)]
        canvas.stroke(moved(smooth(fold) * (side, 1), face.turn), 2.4, line, 0.62)
    rng = face.person.noise(2)
    for across, y in zip(rng.uniform(0.45, 0.85, 7), rng.uniform(82, 135, 7), strict=True):
        x = across * face.edge(y) * rng.choice((-1, 1))
        canvas.oval(x, y, 2.4, 1.7, mix(face.skin, (96, 60, 34), 0.55), 0.65)


def bags(canvas: Canvas, face: Face) -> None:
    """Pouches under the eyes."""
    if not face.has("Bags_Under_Eyes"):
        return
    dark = mix(shade(face.skin, 0.7), (60, 24, 62), 0.6)
    for x, y, _ in face.eyes():
        pouch = [(x - 9.5, y + 5.5), (x - 5, y + 10.5), (x + 5, y + 10.5), (x + 9.5, y + 5.5)]
        canvas.glow(x, y + 8.5, 12, 6, dark, 0.85)
        canvas.stroke(smooth(pouch), 2.2, dark, 0.95)
        canvas.glow(x, y + 7.2, 8, 2.4, shade(face.skin, 1.25), 0.9)
