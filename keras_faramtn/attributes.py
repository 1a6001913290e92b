"""The attributes of a face, and the groups in which a network predicts them.

This module imports nothing heavy.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from keras_faramtn.errors import InputError

CELEBA_ATTRIBUTES: tuple[str, ...] = (
    "5_o_Clock_Shadow",
    "Arched_Eyebrows",
    "Attractive",
    "Bags_Under_Eyes",
    "Bald",
    "Bangs",
    "Big_Lips",
    "Big_Nose",
    "Black_Hair",
    "Blond_Hair",
    "Blurry",
    "Brown_Hair",
    "Bushy_Eyebrows",
    "Chubby",
    "Double_Chin",
    "Eyeglasses",
    "Goatee",
    "Gray_Hair",
    "Heavy_Makeup",
    "High_Cheekbones",
    "Male",
    "Mouth_Slightly_Open",
    "Mustache",
    "Narrow_Eyes",
    "No_Beard",
    "Oval_Face",
    "Pale_Skin",
    "Pointy_Nose",
    "Receding_Hairline",
    "Rosy_Cheeks",
    "Sideburns",
    "Smiling",
    "Straight_Hair",
    "Wavy_Hair",
    "Wearing_Earrings",
    "Wearing_Hat",
    "Wearing_Lipstick",
    "Wearing_Necklace",
    "Wearing_Necktie",
    "Young",
)
"""The 40 attributes in the order of CelebA's `list_attr_celeba.txt`: the canonical order."""

_GROUP_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")


class AttributeGroups(Mapping[str, tuple[str, ...]]):
    """A partition of attributes into named groups; the network has one output for each group.

    Behaves like a read-only dict from a group's name to its attributes, in the given order. Two
    objects are equal if they have the same attributes, groups and orders: the order of the groups
    is the order of a network's outputs and weights.

    Args:
        groups: mapping from a group's name to the names of its attributes. The group's name
            becomes the name of an output and of layers, so it must consist of letters, digits and
            underscores and begin with a letter.
        attributes: all attribute names in canonical order, which is the order of the columns of
            labels and probabilities. Defaults to the 40 attributes of CelebA.

    Raises:
        InputError: an attribute is in two groups, twice in one group, unknown or missing; a group
            is empty; there is no group; a group's name can't be the name of a Keras output; or as
            in `check_names`. The message names the value and the remedy.

    Example:
        >>> groups = AttributeGroups({"a": ["x", "z"], "b": ["y"]}, attributes=["x", "y", "z"])
        >>> groups["a"], groups.positions("a")
        (('x', 'z'), (0, 2))
    """

    def __init__(
        self,
        groups: Mapping[str, Sequence[str]],
        attributes: Sequence[str] = CELEBA_ATTRIBUTES,
    ) -> None:
        if not isinstance(groups, Mapping):
            raise InputError(
                f"groups must map group names to lists of attribute names; got {groups!r}."
            )
        self._attributes = check_names(attributes)
        _refuse_bad_groups(groups)
        self._groups = {name: tuple(members) for name, members in groups.items()}
        _refuse_bad_partition(self._groups, self._attributes)

    @property
    def attributes(self) -> tuple[str, ...]:
        """All attribute names, in canonical order."""
        return self._attributes

    def positions(self, group: str) -> tuple[int, ...]:
        """The positions of the attributes of `group` in the canonical order."""
        return tuple(self._attributes.index(name) for name in self._groups[group])

    def __getitem__(self, group: str) -> tuple[str, ...]:
        return self._groups[group]

    def __iter__(self) -> Iterator[str]:
        return iter(self._groups)

    def __len__(self) -> int:
        return len(self._groups)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AttributeGroups):
            return NotImplemented
        return self._ordered() == other._ordered()

    def __hash__(self) -> int:
        return hash(self._ordered())

    def _ordered(self) -> tuple[Any, ...]:
        return self._attributes, tuple(self._groups.items())

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {len(members)}" for name, members in self.items())
        return f"AttributeGroups({{{sizes}}})"


def single_group(attributes: Sequence[str] = CELEBA_ATTRIBUTES) -> AttributeGroups:
    """All `attributes` in one group called `attributes`: the grouping of a plain network.

    Example:
        >>> dict(single_group(["Smiling", "Male"]))
        {'attributes': ('Smiling', 'Male')}
    """
    return AttributeGroups({"attributes": attributes}, attributes)


def check_names(attributes: Sequence[str]) -> tuple[str, ...]:
    """The names of attributes as a tuple, if each can be one line of a file.

    Raises:
        InputError: `attributes` is not a list; a name is not a string, is empty, begins or ends
            with a blank, contains a line break or another control character, or is repeated.

    Example:
        >>> check_names(["Smiling", "Young"])
        ('Smiling', 'Young')
    """
    if isinstance(attributes, str | bytes) or not isinstance(attributes, Iterable):
        raise InputError(f"attributes must be a list of names; got {attributes!r}.")
    names = tuple(attributes)
    for name in names:
        if not isinstance(name, str) or not name or name != name.strip() or not name.isprintable():
            raise InputError(
                f"{name!r} can't be the name of an attribute; use letters, digits and other "
                "printable characters, without blanks at the ends and without line breaks."
            )
    repeated = [name for name, times in Counter(names).items() if times > 1]
    if repeated:
        raise InputError(
            f"attributes contains {', '.join(repeated)} more than once; list each attribute once."
        )
    return names


def _refuse_bad_groups(groups: Mapping[str, Sequence[str]]) -> None:
    if not groups:
        raise InputError("groups is empty; define at least one group of attributes.")
    for name, members in groups.items():
        if not isinstance(name, str) or not _GROUP_NAME.fullmatch(name):
            raise InputError(
                f"the group name {name!r} can't be the name of a Keras output; use letters, digits "
                "and underscores, and begin with a letter."
            )
        listed = isinstance(members, Sequence) and not isinstance(members, str)
        if not listed or not all(isinstance(member, str) for member in members):
            raise InputError(f"group {name!r} must be a list of attribute names; got {members!r}.")
        if not members:
            raise InputError(f"group {name!r} is empty; add attributes to it or remove it.")


def _refuse_bad_partition(groups: dict[str, tuple[str, ...]], attributes: tuple[str, ...]) -> None:
    owner: dict[str, str] = {}
    for group, members in groups.items():
        for attribute in members:
            if attribute not in attributes:
                raise InputError(
                    f"group {group!r} contains the unknown attribute {attribute!r}; the attributes "
                    f"are {', '.join(attributes)}."
                )
            if attribute in owner:
                raise InputError(
                    f"attribute {attribute!r} is in group {owner[attribute]!r} and again in group "
                    f"{group!r}; keep it in one of them."
                )
            owner[attribute] = group
    missing = [attribute for attribute in attributes if attribute not in owner]
    if missing:
        raise InputError(
            f"no group contains {', '.join(missing)}; add each to a group, or remove it from "
            "`attributes`."
        )


FACE_REGIONS = AttributeGroups(
    {
        "mouth": ("Big_Lips", "Mouth_Slightly_Open", "Smiling", "Wearing_Lipstick"),
        "ear": ("Wearing_Earrings",),
        "lower_face": (
            "5_o_Clock_Shadow",
            "Double_Chin",
            "Goatee",
            "Mustache",
            "No_Beard",
            "Sideburns",
        ),
        "cheeks": ("High_Cheekbones", "Rosy_Cheeks"),
        "nose": ("Big_Nose", "Pointy_Nose"),
        "eyes": (
            "Arched_Eyebrows",
            "Bags_Under_Eyes",
            "Bushy_Eyebrows",
            "Eyeglasses",
            "Narrow_Eyes",
        ),
        "hair": (
            "Bald",
            "Bangs",
            "Black_Hair",
            "Blond_Hair",
            "Brown_Hair",
            "Gray_Hair",
            "Receding_Hairline",
            "Straight_Hair",
            "Wavy_Hair",
            "Wearing_Hat",
        ),
        "object": (
            "Attractive",
            "Blurry",
            "Chubby",
            "Heavy_Makeup",
            "Male",
            "Oval_Face",
            "Pale_Skin",
            "Wearing_Necklace",
            "Wearing_Necktie",
            "Young",
        ),
    }
)
"""The default: eight groups by region of the face. The names are those of the FAR-AMTN authors'
next paper (arXiv 2601.01408); the assignment of attributes to groups is this package's choice."""

MCNN_AUX = AttributeGroups(
    {
        "gender": ("Male",),
        "nose": ("Big_Nose", "Pointy_Nose"),
        "mouth": ("Big_Lips", "Smiling", "Wearing_Lipstick", "Mouth_Slightly_Open"),
        "eyes": (
            "Arched_Eyebrows",
            "Bags_Under_Eyes",
            "Bushy_Eyebrows",
            "Narrow_Eyes",
            "Eyeglasses",
        ),
        "face": (
            "Attractive",
            "Blurry",
            "Oval_Face",
            "Pale_Skin",
            "Young",
            "Heavy_Makeup",
        ),
        "around_head": (
            "Black_Hair",
            "Blond_Hair",
            "Brown_Hair",
            "Gray_Hair",
            "Wearing_Earrings",
            "Wearing_Necklace",
            "Wearing_Necktie",
            "Wearing_Hat",
            "Straight_Hair",
            "Wavy_Hair",
            "Bangs",
            "Receding_Hairline",
            "Bald",
        ),
        "facial_hair": (
            "5_o_Clock_Shadow",
            "Mustache",
            "No_Beard",
            "Sideburns",
            "Goatee",
        ),
        "cheeks": ("High_Cheekbones", "Rosy_Cheeks"),
        "fat": ("Chubby", "Double_Chin"),
    }
)
"""The nine groups of MCNN-AUX (Hand and Chellappa, AAAI 2017, section 3.1)."""

GROUPINGS: dict[str, AttributeGroups] = {"face_regions": FACE_REGIONS, "mcnn_aux": MCNN_AUX}
"""The groupings that a recipe can name."""

DEFAULT_THRESHOLD = 0.5
"""An attribute is predicted if its probability is above this value, unless other thresholds are
given. It is used for scores, for comparing exported files with the model, and in the metadata of
TFLite files, where MediaPipe's ImageClassifier drops results below it."""
