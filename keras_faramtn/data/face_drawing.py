"""Draws a face that shows given attributes. Every attribute has its place in the picture:

| attribute | on | off |
|---|---|---|
| 5_o_Clock_Shadow | grey stubble on jaw and upper lip | bare skin |
| Arched_Eyebrows | brows with a high peak | flat brows |
| Attractive | symmetric features, clear skin | crooked features, spots |
| Bags_Under_Eyes | dark pouches under the eyes | none |
| Bald | bare scalp with a shine, no hair | hair |
| Bangs | hair over the forehead, down to the brows | forehead free |
| Big_Lips | full lips | thin lips |
| Big_Nose | wide and long nose, large nostrils | small nose |
| Black_Hair, Blond_Hair, Brown_Hair, Gray_Hair | that colour | none of them: red to burgundy |
| Blurry | out of focus | sharp |
| Bushy_Eyebrows | thick brows with single hairs | thin brows |
| Chubby | wide cheeks and jaw | slim ones |
| Double_Chin | a fold of skin under the chin | none |
| Eyeglasses | frames and a glint | none |
| Goatee | beard on the chin | none |
| Heavy_Makeup | eye shadow, eyeliner, long lashes | none |
| High_Cheekbones | bright cheekbones, hollows below | even cheeks |
| Male | broad jaw and neck, short hair | narrow jaw and neck, lashes |
| Mouth_Slightly_Open | teeth and a dark gap | lips closed |
| Mustache | hair on the upper lip | none |
| Narrow_Eyes | slits | open eyes |
| No_Beard | no beard | a short full beard, unless another kind of beard is on |
| Oval_Face | long, tapering to the chin | short and square |
| Pale_Skin | nearly white skin | from light to dark brown |
| Pointy_Nose | tip like an arrow | round tip |
| Receding_Hairline | high, M-shaped hairline | low hairline |
| Rosy_Cheeks | pink cheeks | none |
| Sideburns | hair before the ears, down to the jaw | none |
| Smiling | corners of the mouth up, dimples | level mouth |
| Straight_Hair | straight strands, jagged edge | none of both: a smooth mass |
| Wavy_Hair | waves in outline and strands | none of both: a smooth mass |
| Wearing_Earrings | rings or drops at both ears | none |
| Wearing_Hat | a hat, which hides the upper hair | none |
| Wearing_Lipstick | bright lips | lips near the skin's colour |
| Wearing_Necklace | beads around the neck | none |
| Wearing_Necktie | knot and blade of a tie | none |
| Young | smooth skin | lines on forehead, beside eyes and mouth; age spots |

How strongly each shows differs between people, and so does what no label tells: skin tone, face
shape, pose, eye colour, length of hair, clothing, background, light. None of it depends on a label.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from keras_faramtn.data.canvas import Canvas, Colour, mirrored, mix, moved, shade, smooth

FRAME = (218, 178)
"""Height and width of CelebA's aligned pictures: the units that everything is drawn in."""

_SUPERSAMPLING = 2

_SKIN: tuple[Colour, ...] = (
    (98, 62, 44),
    (141, 91, 62),
    (181, 126, 90),
    (208, 156, 118),
    (226, 180, 146),
    (234, 191, 160),
)
_PALE: Colour = (252, 236, 228)
_IRIS: tuple[Colour, ...] = (
    (88, 54, 30),
    (52, 34, 24),
    (70, 120, 160),
    (82, 122, 80),
    (110, 96, 60),
)
_HAIR: Mapping[str, tuple[Colour, Colour]] = {
    "Black_Hair": ((16, 15, 18), (34, 30, 32)),
    "Blond_Hair": ((222, 184, 104), (242, 216, 150)),
    "Brown_Hair": ((82, 50, 28), (112, 72, 42)),
    "Gray_Hair": ((150, 152, 156), (206, 208, 212)),
}
_OTHER_HAIR: tuple[Colour, Colour] = ((122, 22, 40), (204, 82, 30))
_LIPSTICK: tuple[Colour, ...] = ((200, 16, 46), (168, 20, 72), (222, 40, 110), (140, 16, 40))
_EYE_SHADOW: tuple[Colour, ...] = ((84, 66, 160), (40, 112, 150), (150, 50, 130), (60, 60, 74))
_METAL: tuple[Colour, ...] = ((246, 202, 60), (238, 242, 248), (52, 196, 190), (240, 240, 225))
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
_BEARDS = ("5_o_Clock_Shadow", "Goatee", "Mustache", "Sideburns")
_BROWS_Y, _EYES_Y, _NOSE_Y, _MOUTH_Y, _CHIN_Y = 92.0, 105.0, 130.0, 149.0, 172.0
_RISE = 7.0  # units that all is drawn above these heights, to show more of the clothing


@dataclass(frozen=True)
class Person:
    """What makes people and photographs differ and no label tells; each trait is 0..1."""

    skin: float
    temples: float
    cheeks: float
    jaw: float
    chin: float
    eye_size: float
    eye_distance: float
    eye_colour: float
    gaze: float
    brows: float
    nose: float
    mouth: float
    lips: float
    smile: float
    blemishes: float
    crooked: float
    hair_tone: float
    hair_volume: float
    hair_length: float
    hair_style: float
    parting: float
    make_up: float
    metal: float
    jewellery: float
    frames: float
    frame_colour: float
    hat: float
    hat_colour: float
    cloth: float
    neckline: float
    tie: float
    x: float
    y: float
    size: float
    tilt: float
    turn: float
    backdrop: float
    backdrop_hue: float
    light: float
    light_side: float
    light_warmth: float
    blur: float
    texture: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Person":
        """A person at random."""
        return cls(*rng.random(len(fields(cls))).tolist())

    def noise(self, part: int) -> np.random.Generator:
        """Random numbers for the texture of one part, which no other part and no label changes."""
        return np.random.default_rng([int(self.texture * 2**32), part])


class Face:
    """What to draw: a person, labels, and what follows from both for several parts.

    Attributes:
        person: the traits.
        skin, hair: colours.
        outline: `(n, 2)` closed curve of the head without hair, about x = 0.
        turn: how far eyes, nose and mouth are from the middle of the head.
    """

    def __init__(self, labels: Mapping[str, bool], person: Person) -> None:
        self.person = person
        self._on = frozenset(name for name, label in labels.items() if label)
        self.skin = self._skin()
        self.hair = self._hair()
        self.turn = 5 * (person.turn - 0.5)
        self.chin = (
            _CHIN_Y
            + self.amount("Oval_Face", (-5, -3), (6, 9), person.chin)
            + 2 * self.has("Male")
            + 2 * self.has("Chubby")
        )
        self.outline = self._outline()
        right = self.outline[(self.outline[:, 0] >= 0) & (self.outline[:, 1] > 60)]
        self._edge = right[np.argsort(right[:, 1])]

    def has(self, *names: str) -> bool:
        """Whether any of the attributes is on."""
        return not self._on.isdisjoint(names)

    def amount(
        self, name: str, off: tuple[float, float], on: tuple[float, float], trait: float
    ) -> float:
        """A quantity that `name` decides the range of, and `trait` (0..1) the place in it."""
        low, high = on if self.has(name) else off
        return low + (high - low) * trait

    def crooked(self, by: float) -> float:
        """`by` units of asymmetry for a face that isn't Attractive, to a side; else 0."""
        side = 1 if self.person.crooked < 0.5 else -1
        return 0.0 if self.has("Attractive") else by * side * (0.8 + abs(self.person.crooked - 0.5))

    def _skin(self) -> Colour:
        if self.has("Pale_Skin"):
            return mix(_PALE, (244, 224, 218), self.person.skin)
        place = self.person.skin * (len(_SKIN) - 1)
        low = min(int(place), len(_SKIN) - 2)
        return mix(_SKIN[low], _SKIN[low + 1], place - low)

    def _hair(self) -> Colour:
        ends = next((ends for name, ends in _HAIR.items() if self.has(name)), _OTHER_HAIR)
        if self.has("Bald"):
            # Only brows and beard are left, and those tell no hair colour.
            ends = ((46, 34, 28), (86, 62, 44))
        return mix(*ends, self.person.hair_tone)

    def _outline(self) -> np.ndarray:
        p = self.person
        male, chubby = self.has("Male"), self.has("Chubby")
        oval = self.has("Oval_Face")
        temple = 41 + 3 * p.temples - 1.5 * oval
        cheek = 41.5 + 3 * p.cheeks + 6 * chubby - 2 * oval
        jaw = 32 + 3 * p.jaw + 5 * male + 12 * chubby - (3.5 if oval else -2)
        chin = 14 + 2.5 * p.jaw + 6 * male + 9 * chubby - (1.5 if oval else -3)
        half = [
            (0, 45),
            (21, 49),
            (36, 64),
            (temple, 84),
            (cheek, 116),
            (jaw, 145),
            (chin, self.chin - 8),
            (0, self.chin),
        ]
        return smooth(mirrored(half), closed=True)

    def edge(self, y: Any) -> Any:
        """Half the width of the head at height `y`, a number or an array."""
        return np.interp(y, self._edge[:, 1], self._edge[:, 0])


def paint(
    labels: Mapping[str, bool], rng: np.random.Generator, image_size: tuple[int, int]
) -> Image.Image:
    """The picture of a face, RGB.

    The frame of 178x218 units is drawn undistorted, as large as `image_size` (height, width)
    allows; what is left is filled by more background and clothing.

    Args:
        labels: whether each of the 40 attributes is on.
        rng: decides on the person. The numbers it gives mean the same whatever the labels are, so
            that the same `rng` with one label changed shows the same person with that change.
        image_size: height and width in pixels.
    """
    person = Person.draw(rng)
    face = Face(labels, person)
    height, width = image_size
    scale = min(height / FRAME[0], width / FRAME[1])
    fine = scale * _SUPERSAMPLING
    image = _background(person, (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    foot = (image.width / 2, image.height - (FRAME[0] + _RISE) * fine)
    body = Canvas(image, fine, foot)
    head = Canvas(
        image,
        fine * (0.97 + 0.06 * person.size),
        (foot[0] + (4 * person.x - 2) * fine, foot[1] + (4 * person.y - 1) * fine),
        angle=0.16 * (person.tilt - 0.5),
        pivot=(0, 180),
    )
    for canvas, parts in ((head, _BEHIND), (body, _BODY), (head, _HEAD)):
        for part in parts:
            part(canvas, face)
    return _photograph(image.resize((width, height), Image.Resampling.BOX), face, scale)


# The photograph


def _background(person: Person, size: tuple[int, int]) -> Image.Image:
    """Soft patches of related colours: a wall or a place out of focus."""
    rng = person.noise(0)
    hue = np.array([0, 1, 2]) / 3 + person.backdrop_hue
    base = 60 + 130 * person.backdrop + 22 * np.cos(2 * math.pi * hue)
    patches = base + rng.normal(0, 6 + 24 * rng.random(), (4, 4, 1)) + rng.normal(0, 6, (4, 4, 3))
    tile = Image.fromarray(np.uint8(patches.clip(0, 255)))
    return tile.resize(size, Image.Resampling.BICUBIC)


def _photograph(image: Image.Image, face: Face, scale: float) -> Image.Image:
    """Light from one side, its colour, and the blur of a lens out of focus."""
    p = face.person
    level = 1 - 0.22 * p.light
    fall = 0.3 * (p.light_side - 0.5)
    warmth = np.array([1, 0, -1]) * 0.06 * (p.light_warmth - 0.5)
    sides = np.array([[1 - fall, 1 + fall], [1 - 1.3 * fall, 1 + 0.7 * fall]])[..., None]
    light = Image.fromarray(np.uint8((255 * (level + warmth) * sides).clip(0, 255)))
    lit = ImageChops.multiply(image, light.resize(image.size, Image.Resampling.BILINEAR))
    if face.has("Blurry"):
        return lit.filter(ImageFilter.GaussianBlur(scale * (2.6 + 1.2 * p.blur)))
    return lit


# The body, in the frame's coordinates about x = 0


def _hair_behind(canvas: Canvas, face: Face) -> None:
    """The hair behind neck and shoulders, or a bun above the head."""
    if not _long_hair(face):
        return
    wide, bottom = _long_hair_size(face)
    half = [(0, 40), (wide - 8, 62), (wide, 110), (wide - 3, bottom - 6), (wide - 14, bottom)]
    canvas.area(smooth(mirrored(half), closed=True), shade(face.hair, 0.62))


def _neck(canvas: Canvas, face: Face) -> None:
    half = 25.0 if face.has("Male") else 17.0
    half += 4 * face.has("Chubby")
    neck = mirrored([(half, 140), (half, 182), (half + 5, 196), (half + 22, 207), (half, 236)])
    canvas.area(smooth(neck, closed=True), shade(face.skin, 0.88))
    canvas.glow(0, face.chin + 5, half + 8, 20, shade(face.skin, 0.5), 0.75)
    if face.has("Male"):
        canvas.glow(0, 191, 5, 6, shade(face.skin, 1.12), 0.7)


def _clothes(canvas: Canvas, face: Face) -> None:
    """A round neck, a V or a shirt's collar, on shoulders that go on outside the frame."""
    p = face.person
    colour = _pick(_CLOTH, p.cloth)
    male = face.has("Male")
    neck, slope = (28, 196) if male else (22, 199)
    style = "shirt" if face.has("Wearing_Necktie") else _pick(("round", "v", "shirt"), p.neckline)
    depth = {"round": 211, "v": 222, "shirt": 213}[style]
    shoulder = [(neck, slope - 4), (48, slope + 2), (76, slope + 9), (105, slope + 22)]
    inner = [(0, depth), (neck * 0.6, depth - (3 if style == "round" else 11)), (neck, slope - 4)]
    right = np.concatenate([inner if style == "v" else smooth(inner), smooth(shoulder)])
    shape = np.concatenate([right, [(140, 400), (140, 900)]])
    canvas.area(mirrored(shape), colour)
    canvas.stroke(smooth(shoulder), 2.5, shade(colour, 1.3), 0.5)
    canvas.stroke(smooth(shoulder) * (-1, 1), 2.5, shade(colour, 1.3), 0.5)
    if style == "shirt":
        linen = mix((250, 250, 250), _pick(_CLOTH, (p.cloth + 0.4) % 1), 0.25)
        for side in (-1, 1):
            collar = np.array([(neck - 2, slope - 9), (neck + 4, slope), (14, 222), (1, 209)])
            canvas.area(collar * (side, 1), linen)
            canvas.stroke(collar[[1, 2]] * (side, 1), 1, shade(linen, 0.7), taper=False)


def _necktie(canvas: Canvas, face: Face) -> None:
    if not face.has("Wearing_Necktie"):
        return
    colour = mix((190, 24, 36), (24, 44, 140), face.person.tie)
    canvas.area([(-7, 218), (-11, 240), (11, 240), (7, 218), (5, 211), (-5, 211)], colour)
    canvas.area([(-9, 201), (9, 201), (5.5, 213), (-5.5, 213)], shade(colour, 1.25))
    for y in (214, 220):
        canvas.area([(-7, y + 3), (7, y - 3), (7, y - 1), (-7, y + 5)], (240, 232, 214))
    canvas.stroke(np.array([(-9, 201.0), (9, 201)]), 1, shade(colour, 0.5), taper=False)


def _necklace(canvas: Canvas, face: Face) -> None:
    if not face.has("Wearing_Necklace"):
        return
    metal = _pick(_METAL, face.person.metal)
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


# The head, from back to front


def _double_chin(canvas: Canvas, face: Face) -> None:
    if not face.has("Double_Chin"):
        return
    reach = face.edge(_MOUTH_Y + 4)
    for drop, colour in ((12.5, shade(face.skin, 0.5)), (11, shade(face.skin, 0.95))):
        half = [(reach * 0.95, 150), (reach * 0.8, face.chin + drop - 10), (0, face.chin + drop)]
        canvas.area(smooth(mirrored(half), closed=True), colour)
    canvas.glow(0, face.chin + 2, reach * 0.8, 6.5, shade(face.skin, 0.42), 0.9)


def _ears(canvas: Canvas, face: Face) -> None:
    if _long_hair(face):
        return
    reach = face.edge(112)
    for side in (-1, 1):
        x = side * (reach + 1.5)
        canvas.oval(x, 112, 6.5, 12, shade(face.skin, 0.93))
        canvas.oval(x + side, 111, 3.5, 8, shade(face.skin, 0.76))


def _head(canvas: Canvas, face: Face) -> None:
    """The skin, rounded by a shadow at each side and light on forehead and nose."""
    canvas.area(face.outline, shade(face.skin, 0.82))
    canvas.area((face.outline - (face.turn / 2, 110)) * (0.94, 0.965) + (0, 109), face.skin, 0.6)
    canvas.area((face.outline - (face.turn / 2, 110)) * (0.86, 0.93) + (0, 109), face.skin)
    canvas.glow(face.turn, 76, 26, 15, shade(face.skin, 1.12), 0.6)
    canvas.glow(face.turn, face.chin - 9, 11, 7, shade(face.skin, 1.1), 0.6)


def _cheeks(canvas: Canvas, face: Face) -> None:
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


def _blemishes(canvas: Canvas, face: Face) -> None:
    """Spots on a skin that isn't clear."""
    if face.has("Attractive"):
        return
    rng = face.person.noise(1)
    count = 9 + round(6 * face.person.blemishes)
    places = np.stack([rng.uniform(-0.75, 0.75, count), rng.uniform(78, 162, count)], axis=1)
    colour = mix(face.skin, (206, 44, 44), 0.6)
    for (across, y), size in zip(places, rng.uniform(1.2, 2.3, count), strict=True):
        x = across * face.edge(y)
        canvas.oval(x, y, size, size, colour, 0.8)
        canvas.oval(x - 0.4, y - 0.4, size * 0.4, size * 0.4, shade(face.skin, 1.15), 0.7)


def _age(canvas: Canvas, face: Face) -> None:
    """Lines and age spots of a face that isn't Young."""
    if face.has("Young"):
        return
    line = shade(face.skin, 0.55)
    x = np.linspace(-1, 1, 9)
    for place, y in enumerate((72, 78, 84)):
        forehead = np.stack([(21 + 2 * place) * x, y + 1.4 * np.cos(5 * x + place)], axis=1)
        canvas.stroke(moved(forehead, face.turn), 1.8, line, 0.62)
    for side in (-1, 1):
        for rise in (-4.5, 0, 4.5):
            foot = [(31, _EYES_Y + rise * 0.3), (35, _EYES_Y + rise), (39, _EYES_Y + rise * 1.7)]
            canvas.stroke(moved(smooth(foot) * (side, 1), face.turn), 1.5, line, 0.65)
        fold = [(12, 131), (18, 138), (21, 146), (21.5, 152)]
        canvas.stroke(moved(smooth(fold) * (side, 1), face.turn), 2.4, line, 0.62)
    rng = face.person.noise(2)
    for across, y in zip(rng.uniform(0.45, 0.85, 7), rng.uniform(82, 135, 7), strict=True):
        x = across * face.edge(y) * rng.choice((-1, 1))
        canvas.oval(x, y, 2.4, 1.7, mix(face.skin, (96, 60, 34), 0.55), 0.65)


def _bags(canvas: Canvas, face: Face) -> None:
    if not face.has("Bags_Under_Eyes"):
        return
    dark = mix(shade(face.skin, 0.7), (60, 24, 62), 0.6)
    for x, y, _ in _eye_places(face):
        pouch = [(x - 9.5, y + 5.5), (x - 5, y + 10.5), (x + 5, y + 10.5), (x + 9.5, y + 5.5)]
        canvas.glow(x, y + 8.5, 12, 6, dark, 0.85)
        canvas.stroke(smooth(pouch), 2.2, dark, 0.95)
        canvas.glow(x, y + 7.2, 8, 2.4, shade(face.skin, 1.25), 0.9)


def _make_up(canvas: Canvas, face: Face) -> None:
    """Eye shadow; eyeliner and lashes come with the eyes."""
    if not face.has("Heavy_Makeup"):
        return
    colour = _pick(_EYE_SHADOW, face.person.make_up)
    for x, y, side in _eye_places(face):
        lid = [(x - side * 10, y), (x - side * 2, y - 8.5), (x + side * 14, y - 7.5)]
        lower = [(x + side * 10, y + 1), (x, y - 2)]
        canvas.area(smooth(lid + lower, closed=True), colour, 0.75)
        canvas.glow(x + side * 3, y - 4, 14, 9, colour, 0.55)


def _eyes(canvas: Canvas, face: Face) -> None:
    p = face.person
    wide = 9.2 + 1.2 * p.eye_size
    tall = face.amount("Narrow_Eyes", (4.9, 5.8), (1.7, 2.1), p.eye_size)
    iris = _pick(_IRIS, p.eye_colour)
    made_up = face.has("Heavy_Makeup")
    across = np.linspace(-1, 1, 13)
    lid = 1 - across**2
    for x, y, side in _eye_places(face):
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


def _brows(canvas: Canvas, face: Face) -> None:
    p = face.person
    colour = mix(shade(face.hair, 0.62), (40, 28, 22), 0.35)
    thick = face.amount("Bushy_Eyebrows", (2.8, 3.8), (7.2, 8.4), p.brows)
    peak = face.amount("Arched_Eyebrows", (0, 1), (6, 7.5), p.brows)
    hairs = face.person.noise(3).normal(0, 1, (2, 26, 2))
    for eye, (x, y, side) in enumerate(_eye_places(face)):
        rise = y - (_EYES_Y - _BROWS_Y)
        line = [
            (-11, 0.5 - 0.1 * peak),
            (-6, -0.3 - 0.65 * peak),
            (0, -0.8 - peak),
            (6, -0.6 - 0.85 * peak),
            (13, 1.5 + 0.2 * peak),
        ]
        brow = moved(smooth(line) * (side, 1), x, rise - 0.12 * peak)
        width = thick * np.linspace(1, 0.45, len(brow))
        canvas.stroke(brow, width, colour, 0.92, taper=False)
        if face.has("Bushy_Eyebrows"):
            roots = brow[np.linspace(0, len(brow) - 3, 26).astype(int)] + 0.9 * hairs[eye]
            for root, (lean, _) in zip(roots, hairs[eye], strict=True):
                tip = moved(root, side * (1.6 + lean), -4.6)
                canvas.stroke(np.array([root, tip]), 0.9, colour, 0.9, taper=False)


def _nose(canvas: Canvas, face: Face) -> None:
    p = face.person
    wing = face.amount("Big_Nose", (6.0, 7.2), (12.5, 14.5), p.nose)
    base = _NOSE_Y + face.amount("Big_Nose", (-1, 0.5), (4, 5.5), p.nose)
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
        tip = np.array([(-6, base - 2), (0, base + 8), (6, base - 2), (0, base - 10)])
        canvas.area(moved(tip, x), light)
        canvas.stroke(moved(tip[:3], x), 2.0, shade(dark, 0.8), taper=False)
        canvas.stroke(np.array([(x, 106.0), (x, base)]), 3.2, shade(face.skin, 1.25), 0.8)
    else:
        canvas.glow(x, base - 5, wing, 9, shade(face.skin, 1.08), 0.8)
        tip = [(-wing * 0.5, base), (0, base + 2.4), (wing * 0.5, base)]
        canvas.stroke(moved(smooth(tip), x), 1.8, dark, 0.9)
        canvas.glow(x, base - 6, wing * 0.75, 6.5, light, 0.9)


def _mouth(canvas: Canvas, face: Face) -> None:
    p = face.person
    smiling = face.has("Smiling")
    half = face.amount("Smiling", (13, 14.5), (18, 20), p.mouth)
    curl = face.amount("Smiling", (0.3, 1.8), (7, 9), p.smile)
    thick = face.amount("Big_Lips", (3.0, 3.9), (7.2, 8.4), p.lips)
    gap = face.amount("Mouth_Slightly_Open", (0, 0), (6.5, 8.5), p.mouth)
    t = np.linspace(-1, 1, 25)
    arc = np.sqrt(1 - t**2)
    x = face.turn * 1.2 + half * t
    middle = _MOUTH_Y + 1.5 + curl * (0.45 - t**2) + face.crooked(2.6) * t
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
        lips = _pick(_LIPSTICK, p.make_up)
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


# Hair of the face


def _beard_colour(face: Face) -> Colour:
    return mix(shade(face.hair, 0.72), (30, 22, 18), 0.2)


def _jaw_band(face: Face, top: float, depth: float) -> np.ndarray:
    """The area along the jaw from height `top`, up to `depth` inside it; open at the mouth."""
    outer = face.outline[face.outline[:, 1] > top]
    outer = outer[np.argsort(np.arctan2(outer[:, 0], outer[:, 1] - 100))] + (0, 0.5)
    depth = depth * ((outer[:, 1] - top) / 20).clip(0.35, 1)
    inner = outer * np.stack([1 - depth / 42, np.ones_like(depth)], axis=1)
    inner[:, 1] -= depth * np.exp(-((outer[:, 0] / 26) ** 2))
    return np.concatenate([outer, inner[::-1]])


def _shadow(canvas: Canvas, face: Face) -> None:
    if not face.has("5_o_Clock_Shadow"):
        return
    tint = mix(shade(face.skin, 0.45), (44, 52, 62), 0.55)
    canvas.area(_jaw_band(face, 130, 15), tint, 0.38)
    upper_lip = [(-18, 148), (-9, 137), (9, 137), (18, 148), (0, 143.5)]
    canvas.area(moved(smooth(upper_lip, closed=True), face.turn * 1.2), tint, 0.45)
    rng = face.person.noise(4)
    across, y = rng.uniform(-1, 1, 460), rng.uniform(134, 168, 460)
    x = across * (face.edge(y) - 3)
    clear = np.hypot((x - face.turn) / 21, (y - _MOUTH_Y - 2) / 8.5) > 1
    low = (y > 139 + 0.004 * (x - face.turn) ** 2) | (np.abs(x) > 25)
    canvas.dots(np.stack([x, y], axis=1)[clear & low], 0.36, shade(tint, 0.5), 0.7)


def _full_beard(canvas: Canvas, face: Face) -> None:
    """A short beard all along the jaw: what a beard is that has no other name."""
    if face.has("No_Beard", *_BEARDS):
        return
    colour = _beard_colour(face)
    canvas.area(_jaw_band(face, 104, 15), colour, 0.92)
    _strands_of_beard(canvas, face, (face.edge(150) - 6, 158, face.chin - 2), 50, colour)


def _goatee(canvas: Canvas, face: Face) -> None:
    if not face.has("Goatee"):
        return
    colour = _beard_colour(face)
    top = _MOUTH_Y + face.amount("Mouth_Slightly_Open", (8, 8), (13, 13), 0)
    top += face.amount("Big_Lips", (0, 0), (4, 4), 0)
    half = [(0, top), (8, top + 1), (14, 160), (12, face.chin), (0, face.chin + 6)]
    canvas.area(moved(smooth(mirrored(half), closed=True), face.turn), colour, 0.95)
    _strands_of_beard(canvas, face, (12, top + 4, face.chin + 3), 40, colour)


def _mustache(canvas: Canvas, face: Face) -> None:
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


def _sideburns(canvas: Canvas, face: Face) -> None:
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


# Hair of the head


def _long_hair(face: Face) -> bool:
    """Women's hair hangs down, unless it is neither straight nor wavy and gathered in a bun."""
    if face.has("Male", "Bald"):
        return False
    return face.has("Straight_Hair", "Wavy_Hair") or face.person.hair_style < 0.5


def _long_hair_size(face: Face) -> tuple[float, float]:
    """Half the width of long hair, and where it ends."""
    return 54 + 6 * face.person.hair_volume, 158 + 46 * face.person.hair_length


def _wave(y: np.ndarray, face: Face, reach: float, length: float = 27.0) -> np.ndarray:
    """The sideways swing of wavy hair along `y`; none for other hair."""
    if not face.has("Wavy_Hair"):
        return np.zeros_like(y)
    return reach * np.sin(2 * math.pi * (y / length + face.person.parting))


def _bun(canvas: Canvas, face: Face) -> None:
    if face.has("Male", "Bald") or _long_hair(face):
        return
    canvas.oval(0, 31, 19, 16, shade(face.hair, 0.75))
    canvas.oval(-3, 28, 12, 9, face.hair)


def _locks(canvas: Canvas, face: Face) -> None:
    """Long hair in front of ears and shoulders."""
    if not _long_hair(face):
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
        for number, share in enumerate((0.2, 0.4, 0.6, 0.8) if _strands(face) else (0.5,)):
            strand = np.stack([inner + (outer - inner) * share, y], 1) * (side, 1)
            if _strands(face):
                canvas.stroke(strand, 1.8, _strand_colour(face, number), 0.65)
            else:
                canvas.stroke(strand, 7, shade(face.hair, 1.2), 0.35)


def _strands(face: Face) -> bool:
    return face.has("Straight_Hair", "Wavy_Hair")


def _strand_colour(face: Face, number: int) -> Colour:
    """Light and dark strands in turn, told apart on black hair too."""
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
        # A parting: the hairline rises where the hair is combed apart.
        parting = 36 * (face.person.parting - 0.5)
        curve[:, 1] -= 4 * np.exp(-(((curve[:, 0] - parting) / 6) ** 2))
    return curve


def _crown(face: Face, hairline: np.ndarray) -> np.ndarray:
    """The upper edge of the hair, point by point above `hairline`."""
    p = face.person
    top = 38 - 7 * p.hair_volume
    reach = face.edge(95) + 3.5 + 2 * p.hair_volume
    angle = np.linspace(math.pi, 0, len(hairline))
    side = hairline[0, 1]
    curve = np.stack([reach * np.cos(angle), side - (side - top) * np.sin(angle) ** 0.75], axis=1)
    place = np.arange(len(angle))
    away = curve - (0, 90)
    away /= np.hypot(*away.T)[:, None]
    if face.has("Wavy_Hair"):
        curve += away * (3 * (1 + np.sin(place * 0.7)))[:, None]
    elif face.has("Straight_Hair") and face.has("Male"):
        curve += away * ((place % 6) * 1.3 * np.sin(angle))[:, None]
    return curve


def _hair_on_top(canvas: Canvas, face: Face) -> None:
    if face.has("Bald"):
        canvas.glow(-10, 58, 17, 9, (255, 252, 244), 0.75)
        canvas.glow(0, 62, 30, 16, shade(face.skin, 1.15), 0.5)
        return
    hairline = _hairline(face)
    crown = _crown(face, hairline)
    canvas.area(np.concatenate([crown, hairline[::-1]]), face.hair)
    canvas.stroke(hairline, 1.6, shade(face.hair, 0.6), 0.6)
    swing = _wave(np.linspace(0, 130, len(crown)), face, 3.2, 26)[:, None]
    shares = np.linspace(0.1, 0.92, 9) if _strands(face) else (0.35,)
    for number, share in enumerate(shares):
        strand = crown + (hairline - crown) * share + (0, 1) * swing
        if _strands(face):
            canvas.stroke(strand, 1.3, _strand_colour(face, number), 0.55)
        else:
            canvas.stroke(strand, 8, shade(mix(face.hair, (255, 250, 245), 0.06), 1.15), 0.45)


def _bangs(canvas: Canvas, face: Face) -> None:
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


# What people wear


def _earrings(canvas: Canvas, face: Face) -> None:
    if not face.has("Wearing_Earrings"):
        return
    metal = _pick(_METAL, face.person.metal)
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


def _eyeglasses(canvas: Canvas, face: Face) -> None:
    if not face.has("Eyeglasses"):
        return
    p = face.person
    frame = _pick(((14, 14, 16), (92, 46, 22), (150, 24, 34), (36, 52, 96)), p.frame_colour)
    power = 2.2 + 3 * p.frames
    turn = np.linspace(0, 2 * math.pi, 37)
    cos, sin = np.cos(turn), np.sin(turn)
    radius = (np.abs(cos) ** power + np.abs(sin) ** power) ** (-1 / power)
    lens = np.stack([15 * radius * cos, 11.5 * radius * sin], axis=1)
    for x, _, side in _eye_places(face, crooked=False):
        centre = (x + side * 0.5, _EYES_Y + 1.5)
        canvas.area(moved(lens, *centre), (200, 220, 235), 0.16)
        glint = [(-8, 3), (-3, -6), (0, -6), (-5, 3)]
        canvas.area(moved(glint, *centre), (255, 255, 255), 0.4)
        canvas.stroke(moved(lens, *centre), 2.8, frame, taper=False)
        arm = [(x + side * 15.5, _EYES_Y - 2), (side * (face.edge(102) + 1), _EYES_Y - 1)]
        canvas.stroke(np.array(arm), 2.8, frame, taper=False)
    bridge = [(-6, _EYES_Y), (0, _EYES_Y - 2.5), (6, _EYES_Y)]
    canvas.stroke(moved(smooth(bridge), face.turn), 2.8, frame, taper=False)


def _hat(canvas: Canvas, face: Face) -> None:
    """A knitted hat, a cap or a hat with a brim."""
    if not face.has("Wearing_Hat"):
        return
    p = face.person
    colour = _pick(_CLOTH, p.hat_colour)
    colour = mix(colour, (200, 60, 40), 0.25)
    reach = face.edge(90) + 8
    kind = _pick(("knitted", "cap", "brim"), p.hat)
    top = {"knitted": 20, "cap": 26, "brim": 14}[kind]
    dome = [(reach, 76), (reach - 1, 52), (reach * 0.72, top + 8), (0, top)]
    dome = np.concatenate([np.array(dome), np.array(dome[-2::-1]) * (-1, 1)])
    canvas.area(smooth(dome), colour)
    canvas.glow(-14, 42, 22, 18, shade(colour, 1.35), 0.6)
    if kind == "knitted":
        cuff = [(reach + 1, 62), (reach + 1, 77), (0, 73), (0, 58)]
        canvas.area(mirrored(cuff[:2]), shade(colour, 0.8))
        for x in np.linspace(-reach + 3, reach - 3, 15):
            canvas.stroke(np.array([(x, 63.0), (x, 76)]), 1.6, shade(colour, 0.55), taper=False)
            canvas.stroke(np.array([(x, 60.0), (x * 0.7, top + 10)]), 1, shade(colour, 0.7), 0.6)
    elif kind == "cap":
        visor = [(reach - 2, 70), (reach - 10, 80), (0, 84)]
        visor = np.concatenate([np.array(visor), np.array(visor[-2::-1]) * (-1, 1)])
        back = [(-reach + 2, 70), (0, 64), (reach - 2, 70)]
        canvas.area(np.concatenate([smooth(visor), smooth(back)]), shade(colour, 0.55))
        canvas.stroke(smooth([(0, top), (3, 45), (0, 66)]), 1.2, shade(colour, 0.6), taper=False)
    else:
        canvas.area(mirrored([(reach + 0.5, 58), (reach + 1, 72)]), shade(colour, 0.4))
        canvas.oval(0, 75, reach + 27, 9, shade(colour, 0.6))
        canvas.oval(0, 73, reach + 27, 8, colour)


def _eye_places(face: Face, crooked: bool = True) -> list[tuple[float, float, int]]:
    """Middle of each eye and its side: -1 left in the picture, 1 right."""
    apart = 19.5 + 2 * face.person.eye_distance
    slant = face.crooked(2.2) if crooked else 0.0
    return [(side * apart + face.turn, _EYES_Y + side * slant, side) for side in (-1, 1)]


def _pick(choices: tuple, trait: float) -> Any:
    """The choice that `trait` (0..1) falls on, each equally wide."""
    return choices[min(int(trait * len(choices)), len(choices) - 1)]


_BEHIND = (_hair_behind,)
_BODY = (_neck, _clothes, _necktie, _necklace)
_HEAD = (
    _double_chin,
    _bun,
    _ears,
    _head,
    _cheeks,
    _blemishes,
    _age,
    _shadow,
    _bags,
    _make_up,
    _eyes,
    _nose,
    _mouth,
    _full_beard,
    _goatee,
    _mustache,
    _sideburns,
    _hair_on_top,
    _brows,
    _bangs,
    _locks,
    _earrings,
    _eyeglasses,
    _hat,
)
