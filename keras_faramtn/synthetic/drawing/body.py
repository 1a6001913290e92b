"""Neck, clothes, tie, jewellery, glasses and hats."""

import math

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
from keras_faramtn.synthetic.drawing.face import EYES_Y, Face, pick

_CLOTH: tuple[Colour, ...] = (
    (34, 40, 62),
    (120, 34, 44),
    (46, 92, 78),
    (206, 200, 190),
    (88, 88, 96),
    (60, 96, 150),
    (190, 140, 60),
    (24, 24, 26),
)

_METAL: tuple[Colour, ...] = ((246, 202, 60), (238, 242, 248), (52, 196, 190), (240, 240, 225))


def neck(canvas: Canvas, face: Face) -> None:
    """Neck, with the shadow of the chin."""
    half = 25.0 if face.has("Male") else 17.0
    half += 4 * face.has("Chubby")
    neck = mirrored([(half, 140), (half, 182), (half + 5, 196), (half + 22, 207), (half, 236)])
    canvas.area(smooth(neck, closed=True), shade(face.skin, 0.88))
    canvas.glow(0, face.chin + 5, half + 8, 20, shade(face.skin, 0.5), 0.75)
    if face.has("Male"):
        canvas.glow(0, 191, 5, 6, shade(face.skin, 1.12), 0.7)


def clothes(canvas: Canvas, face: Face) -> None:
    """Clothes with a round neck, a V-neck or a shirt collar; shoulders extend beyond the frame."""
    p = face.person
    colour = pick(_CLOTH, p.cloth)
    male = face.has("Male")
    neck, slope = (28, 196) if male else (22, 199)
    style = "shirt" if face.has("Wearing_Necktie") else pick(("round", "v", "shirt"), p.neckline)
    depth = {"round": 211, "v": 222, "shirt": 213}[style]
    shoulder = [(neck, slope - 4), (48, slope + 2), (76, slope + 9), (105, slope + 22)]
    inner = [(0, depth), (neck * 0.6, depth - (3 if style == "round" else 11)), (neck, slope - 4)]
    right = np.concatenate([inner if style == "v" else smooth(inner), smooth(shoulder)])
    shape = np.concatenate([right, [(140, 400), (140, 900)]])
    canvas.area(mirrored(shape), colour)
    canvas.stroke(smooth(shoulder), 2.5, shade(colour, 1.3), 0.5)
    canvas.stroke(smooth(shoulder) * (-1, 1), 2.5, shade(colour, 1.3), 0.5)
    if style == "shirt":
        linen = mix((250, 250, 250), pick(_CLOTH, (p.cloth + 0.4) % 1), 0.25)
        for side in (-1, 1):
            collar = np.array([(neck - 2, slope - 9), (neck + 4, slope), (14, 222), (1, 209)])
            canvas.area(collar * (side, 1), linen)
            canvas.stroke(collar[[1, 2]] * (side, 1), 1, shade(linen, 0.7), taper=False)


def necktie(canvas: Canvas, face: Face) -> None:
    """A striped tie."""
    if not face.has("Wearing_Necktie"):
        return
    colour = mix((190, 24, 36), (24, 44, 140), face.person.tie)
    canvas.area([(-7, 218), (-11, 240), (11, 240), (7, 218), (5, 211), (-5, 211)], colour)
    canvas.area([(-9, 201), (9, 201), (5.5, 213), (-5.5, 213)], shade(colour, 1.25))
    for y in (214, 220):
        canvas.area([(-7, y + 3), (7, y - 3), (7, y - 1), (-7, y + 5)], (240, 232, 214))
    canvas.stroke(np.array([(-9, 201.0), (9, 201)]), 1, shade(colour, 0.5), taper=False)


def necklace(canvas: Canvas, face: Face) -> None:
    """Beads, some with a pendant."""
    if not face.has("Wearing_Necklace"):
        return
    metal = pick(_METAL, face.person.metal)
    half = 27 if face.has("Male") else 21
    t = np.linspace(-1, 1, 19)
    beads = np.stack([half * t, 208 - 17 * t**4 - 3 * t**2], axis=1)
    canvas.stroke(smooth(beads), 4.4, (40, 30, 26), 0.45, taper=False)
    for x, y in beads:
        canvas.oval(x, y, 2.3, 2.3, metal)
        canvas.oval(x - 0.6, y - 0.7, 0.8, 0.8, (255, 255, 255))
    if face.person.jewellery < 0.5:
        canvas.oval(0, 212, 4, 5, shade(metal, 0.6))
        canvas.oval(0, 212, 3, 4, metal)


def earrings(canvas: Canvas, face: Face) -> None:
    """Rings or drops at both ears."""
    if not face.has("Wearing_Earrings"):
        return
    metal = pick(_METAL, face.person.metal)
    for side in (-1, 1):
        x = side * (face.edge(120) + 4)
        canvas.oval(x, 127, 2.4, 2.4, metal)
        if face.person.jewellery < 0.5:
            turn = np.linspace(-math.pi / 2, 1.5 * math.pi, 24)
            ring = np.stack([x + 5 * np.cos(turn), 135 + 7.5 * np.sin(turn)], axis=1)
            canvas.stroke(ring, 4.2, (30, 24, 20), 0.6, taper=False)
            canvas.stroke(ring, 2.8, metal, taper=False)
        else:
            for radius, colour in ((1.0, (30, 24, 20)), (0.78, metal)):
                drop = [(0, 128), (4.6, 138), (0, 145), (-4.6, 138)]
                shape = (smooth(drop, closed=True) - (0, 137)) * radius + (x, 137)
                canvas.area(shape, colour, 0.95)
            canvas.oval(x - 1.2, 137, 1.2, 2, (255, 255, 255))


def eyeglasses(canvas: Canvas, face: Face) -> None:
    """Glasses, with frames from round to square."""
    if not face.has("Eyeglasses"):
        return
    p = face.person
    frame = pick(((14, 14, 16), (92, 46, 22), (150, 24, 34), (36, 52, 96)), p.frame_colour)
    power = 2.2 + 3 * p.frames
    turn = np.linspace(0, 2 * math.pi, 37)
    cos, sin = np.cos(turn), np.sin(turn)
    radius = (np.abs(cos) ** power + np.abs(sin) ** power) ** (-1 / power)
    lens = np.stack([15 * radius * cos, 11.5 * radius * sin], axis=1)
    for x, _, side in face.eyes(crooked=False):
        centre = (x + side * 0.5, EYES_Y + 1.5)
        canvas.area(moved(lens, *centre), (200, 220, 235), 0.16)
        glint = [(-8, 3), (-3, -6), (0, -6), (-5, 3)]
        canvas.area(moved(glint, *centre), (255, 255, 255), 0.4)
        canvas.stroke(moved(lens, *centre), 2.8, frame, taper=False)
        arm = [(x + side * 15.5, EYES_Y - 2), (side * (face.edge(102) + 1), EYES_Y - 1)]
        canvas.stroke(np.array(arm), 2.8, frame, taper=False)
    bridge = [(-6, EYES_Y), (0, EYES_Y - 2.5), (6, EYES_Y)]
    canvas.stroke(moved(smooth(bridge), face.turn), 2.8, frame, taper=False)


def hat(canvas: Canvas, face: Face) -> None:
    """A knitted hat, a cap or a hat with a brim."""
    if not face.has("Wearing_Hat"):
        return
    p = face.person
    colour = pick(_CLOTH, p.hat_colour)
    colour = mix(colour, (200, 60, 40), 0.25)
    reach = face.edge(90) + 8
    kind = pick(("knitted", "cap", "brim"), p.hat)
    top = {"knitted": 20, "cap": 26, "brim": 14}[kind]
    half = np.array([(reach, 76), (reach - 1, 52), (reach * 0.72, top + 8), (0, top)])
    dome = np.concatenate([half, half[-2::-1] * (-1, 1)])
    canvas.area(smooth(dome), colour)
    canvas.glow(-14, 42, 22, 18, shade(colour, 1.35), 0.6)
    if kind == "knitted":
        cuff = [(reach + 1, 62), (reach + 1, 77), (0, 73), (0, 58)]
        canvas.area(mirrored(cuff[:2]), shade(colour, 0.8))
        for x in np.linspace(-reach + 3, reach - 3, 15):
            canvas.stroke(np.array([(x, 63.0), (x, 76)]), 1.6, shade(colour, 0.55), taper=False)
            canvas.stroke(np.array([(x, 60.0), (x * 0.7, top + 10)]), 1, shade(colour, 0.7), 0.6)
    elif kind == "cap":
        half = np.array([(reach - 2, 70), (reach - 10, 80), (0, 84)])
        visor = np.concatenate([half, half[-2::-1] * (-1, 1)])
        back = [(-reach + 2, 70), (0, 64), (reach - 2, 70)]
        canvas.area(np.concatenate([smooth(visor), smooth(back)]), shade(colour, 0.55))
        canvas.stroke(smooth([(0, top), (3, 45), (0, 66)]), 1.2, shade(colour, 0.6), taper=False)
    else:
        canvas.area(mirrored([(reach + 0.5, 58), (reach + 1, 72)]), shade(colour, 0.4))
        canvas.oval(0, 75, reach + 27, 9, shade(colour, 0.6))
        canvas.oval(0, 73, reach + 27, 8, colour)
