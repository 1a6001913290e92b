"""Draws a face with given attributes, each visible in its own region of the image:

| attribute | present | absent |
|---|---|---|
| 5_o_Clock_Shadow | grey stubble on jaw and upper lip | bare skin |
| Arched_Eyebrows | brows with a high peak | flat brows |
| Attractive | symmetric features, clear skin | crooked features, spots |
| Bags_Under_Eyes | dark pouches under the eyes | none |
| Bald | bare scalp with a shine, no hair | hair |
| Bangs | hair over the forehead, down to the brows | bare forehead |
| Big_Lips | full lips | thin lips |
| Big_Nose | wide and long nose, large nostrils | small nose |
| Black_Hair, Blond_Hair, Brown_Hair, Gray_Hair | that colour | if none: red to burgundy |
| Blurry | out of focus | sharp |
| Bushy_Eyebrows | thick brows with single hairs | thin brows |
| Chubby | wide cheeks and jaw | narrow ones |
| Double_Chin | a fold of skin under the chin | none |
| Eyeglasses | frames and a glint | none |
| Goatee | beard on the chin | none |
| Heavy_Makeup | eye shadow, eyeliner, long lashes | none |
| High_Cheekbones | bright cheekbones, hollows below | even cheeks |
| Male | broad jaw and neck, short hair | narrow jaw and neck, lashes |
| Mouth_Slightly_Open | teeth and a dark gap | lips closed |
| Mustache | hair on the upper lip | none |
| Narrow_Eyes | slits | open eyes |
| No_Beard | no beard | a short full beard, unless another kind of beard is present |
| Oval_Face | long, tapering to the chin | short and square |
| Pale_Skin | nearly white skin | from light to dark brown |
| Pointy_Nose | tip like an arrow | round tip |
| Receding_Hairline | high, M-shaped hairline | low hairline |
| Rosy_Cheeks | pink cheeks | none |
| Sideburns | hair in front of the ears, down to the jaw | none |
| Smiling | corners of the mouth up, dimples | level mouth |
| Straight_Hair | straight strands, jagged edge | if neither: a smooth mass |
| Wavy_Hair | waves in outline and strands | if neither: a smooth mass |
| Wearing_Earrings | rings or drops at both ears | none |
| Wearing_Hat | a hat, which hides the upper hair | none |
| Wearing_Lipstick | bright lips | lips near the skin's colour |
| Wearing_Necklace | beads around the neck | none |
| Wearing_Necktie | knot and blade of a tie | none |
| Young | smooth skin | lines on the forehead and next to eyes and mouth; age spots |

How clearly each attribute shows differs between people. So do traits without a label: skin tone,
face shape, pose, eye colour, hair length, clothes, background and light. These don't depend on any
label.
"""

import math
from collections.abc import Mapping

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from keras_faramtn.synthetic.drawing import beard, body, features, hair, skin
from keras_faramtn.synthetic.drawing.canvas import Canvas
from keras_faramtn.synthetic.drawing.face import Face, Person

FRAME = (218, 178)
"""Height and width of CelebA's aligned images in pixels, which are the units of all drawing."""

_SUPERSAMPLING = 2
_RISE = 7.0  # units by which everything is shifted up, to show more of the clothes

_BEHIND = (hair.behind,)
_BODY = (body.neck, body.clothes, body.necktie, body.necklace)
_HEAD = (
    skin.double_chin,
    hair.bun,
    skin.ears,
    skin.head,
    skin.cheeks,
    skin.blemishes,
    skin.age,
    beard.stubble,
    skin.bags,
    features.make_up,
    features.eyes,
    features.nose,
    features.mouth,
    beard.full_beard,
    beard.goatee,
    beard.mustache,
    beard.sideburns,
    hair.on_top,
    features.brows,
    hair.bangs,
    hair.locks,
    body.earrings,
    body.eyeglasses,
    body.hat,
)


def paint(
    labels: Mapping[str, bool], rng: np.random.Generator, image_size: tuple[int, int]
) -> Image.Image:
    """Draws a face.

    The frame of 178x218 units is drawn without distortion, as large as `image_size` allows; the
    rest of the image shows more background and clothes.

    Args:
        labels: for each of the 40 attributes, whether it is present.
        rng: decides all traits of the person. Its numbers are used in the same way for all labels,
            so the same state with one label changed gives the same person with that change.
        image_size: height and width in pixels.

    Returns:
        An RGB image.
    """
    person = Person.draw(rng)
    face = Face(labels, person)
    height, width = image_size
    scale = min(height / FRAME[0], width / FRAME[1])
    fine = scale * _SUPERSAMPLING
    image = _background(person, (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    origin = (image.width / 2, image.height - (FRAME[0] + _RISE) * fine)
    torso = Canvas(image, fine, origin)
    head = Canvas(
        image,
        fine * (0.97 + 0.06 * person.size),
        (origin[0] + (4 * person.x - 2) * fine, origin[1] + (4 * person.y - 1) * fine),
        angle=0.16 * (person.tilt - 0.5),
        pivot=(0, 180),
    )
    for canvas, layers in ((head, _BEHIND), (torso, _BODY), (head, _HEAD)):
        for draw in layers:
            draw(canvas, face)
    return _photograph(image.reduce(_SUPERSAMPLING), face, scale)


def _background(person: Person, size: tuple[int, int]) -> Image.Image:
    """A blurred background: soft patches of related colours."""
    rng = person.noise(0)
    hue = np.array([0, 1, 2]) / 3 + person.backdrop_hue
    base = 60 + 130 * person.backdrop + 22 * np.cos(2 * math.pi * hue)
    patches = base + rng.normal(0, 6 + 24 * rng.random(), (4, 4, 1)) + rng.normal(0, 6, (4, 4, 3))
    tile = Image.fromarray(np.uint8(patches.clip(0, 255)))
    return tile.resize(size, Image.Resampling.BICUBIC)


def _photograph(image: Image.Image, face: Face, scale: float) -> Image.Image:
    """Adds light from one side and, for Blurry, the blur of an out-of-focus lens."""
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
