"""The person to draw: random traits, labels, and quantities that several features share."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from keras_faramtn.synthetic.drawing.canvas import Colour, mirrored, mix, smooth

_SKIN: tuple[Colour, ...] = (
    (98, 62, 44),
    (141, 91, 62),
    (181, 126, 90),
    (208, 156, 118),
    (226, 180, 146),
    (234, 191, 160),
)

_PALE: Colour = (252, 236, 228)

_HAIR: Mapping[str, tuple[Colour, Colour]] = {
    "Black_Hair": ((16, 15, 18), (34, 30, 32)),
    "Blond_Hair": ((222, 184, 104), (242, 216, 150)),
    "Brown_Hair": ((82, 50, 28), (112, 72, 42)),
    "Gray_Hair": ((150, 152, 156), (206, 208, 212)),
}

_OTHER_HAIR: tuple[Colour, Colour] = ((122, 22, 40), (204, 82, 30))

# Heights in the frame.
BROWS_Y, EYES_Y, NOSE_Y, MOUTH_Y, CHIN_Y = 92.0, 105.0, 130.0, 149.0, 172.0


@dataclass(frozen=True)
class Person:
    """Traits of a person and a photograph that no label describes, each in 0..1."""

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
        """A random person."""
        return cls(*rng.random(len(fields(cls))).tolist())

    def noise(self, feature: int) -> np.random.Generator:
        """Random numbers for the texture of one feature, independent of others and of labels."""
        return np.random.default_rng([int(self.texture * 2**32), feature])


class Face:
    """A person with labels, and the quantities derived from both that several features share.

    Attributes:
        person: the traits.
        skin, hair: colours.
        turn: the horizontal offset of eyes, nose and mouth from the middle of the head, in units.
        chin: the height of the chin.
        outline: the outline of the head without hair, a closed curve `(n, 2)` around x = 0.
    """

    def __init__(self, labels: Mapping[str, bool], person: Person) -> None:
        self.person = person
        self._on = frozenset(name for name, label in labels.items() if label)
        self.skin = self._skin()
        self.hair = self._hair()
        self.turn = 5 * (person.turn - 0.5)
        self.chin = (
            CHIN_Y
            + self.amount("Oval_Face", (-5, -3), (6, 9), person.chin)
            + 2 * self.has("Male")
            + 2 * self.has("Chubby")
        )
        self.outline = self._outline()
        right = self.outline[(self.outline[:, 0] >= 0) & (self.outline[:, 1] > 60)]
        self._edge = right[np.argsort(right[:, 1])]

    def has(self, *names: str) -> bool:
        """Whether any of the attributes is present."""
        return not self._on.isdisjoint(names)

    def amount(
        self, name: str, off: tuple[float, float], on: tuple[float, float], trait: float
    ) -> float:
        """A quantity: the attribute `name` decides its range, `trait` (0..1) its position there."""
        low, high = on if self.has(name) else off
        return low + (high - low) * trait

    def crooked(self, by: float) -> float:
        """About `by` units of asymmetry to one side, for a face that isn't Attractive; else 0."""
        side = 1 if self.person.crooked < 0.5 else -1
        return 0.0 if self.has("Attractive") else by * side * (0.8 + abs(self.person.crooked - 0.5))

    def _skin(self) -> Colour:
        if self.has("Pale_Skin"):
            return mix(_PALE, (244, 224, 218), self.person.skin)
        position = self.person.skin * (len(_SKIN) - 1)
        low = min(int(position), len(_SKIN) - 2)
        return mix(_SKIN[low], _SKIN[low + 1], position - low)

    def _hair(self) -> Colour:
        ends = next((ends for name, ends in _HAIR.items() if self.has(name)), _OTHER_HAIR)
        if self.has("Bald"):
            # Only brows and beard remain, and they must not reveal a hair colour.
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

    def eyes(self, crooked: bool = True) -> list[tuple[float, float, int]]:
        """For each eye x, y and the side: -1 left in the image, 1 right."""
        apart = 19.5 + 2 * self.person.eye_distance
        slant = self.crooked(2.2) if crooked else 0.0
        return [(side * apart + self.turn, EYES_Y + side * slant, side) for side in (-1, 1)]

    def has_long_hair(self) -> bool:
        """Women have long hair; if it is neither straight nor wavy, it may be in a bun instead."""
        if self.has("Male", "Bald"):
            return False
        return self.has("Straight_Hair", "Wavy_Hair") or self.person.hair_style < 0.5


def pick(choices: tuple, trait: float) -> Any:
    """The element of `choices` that `trait` (0..1) selects; all are equally likely."""
    return choices[min(int(trait * len(choices)), len(choices) - 1)]
