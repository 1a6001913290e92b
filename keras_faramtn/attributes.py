"""The attributes of a face, and the groups in which a network predicts them.

This module stands below all others: it imports nothing of the package and nothing heavy.
"""

import re
from collections.abc import Iterator, Mapping, Sequence

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
    """A checked partition of attributes into named groups: one output of the network a group.

    Behaves as a read-only mapping from a group's name to its attributes, in the order given.

    Args:
        groups: mapping from group name to the attribute names in it. A group's name becomes the
            name of an output and of layers, so it must be letters, digits and underscores and
            begin with a letter.
        attributes: all attribute names in their canonical order, that is the order of the columns
            of `probabilities`. Defaults to the 40 of CelebA.

    Raises:
        ValueError: an attribute in two groups or twice in one, an unknown or a missing attribute,
            an empty group, no group, or a group name that Keras can't use for an output. The
            message names the value and the remedy.

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
            raise ValueError(
                f"groups must map a group's name to a list of attribute names; got {groups!r}."
            )
        self._attributes = tuple(attributes)
        _refuse_repeats(self._attributes)
        _refuse_bad_groups(groups)
        self._groups = {name: tuple(members) for name, members in groups.items()}
        _refuse_bad_partition(self._groups, self._attributes)

    @property
    def attributes(self) -> tuple[str, ...]:
        """All attribute names, in canonical order."""
        return self._attributes

    def positions(self, group: str) -> tuple[int, ...]:
        """Places in the canonical order of the attributes of `group`, in the group's order."""
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
        return self._attributes == other._attributes and self._groups == other._groups

    def __hash__(self) -> int:
        return hash((self._attributes, frozenset(self._groups.items())))

    def __repr__(self) -> str:
        sizes = ", ".join(f"{name}: {len(members)}" for name, members in self.items())
        return f"AttributeGroups({{{sizes}}})"


def single_group(attributes: Sequence[str] = CELEBA_ATTRIBUTES) -> AttributeGroups:
    """All `attributes` in one group called `attributes`: the grouping of a plain network."""
    return AttributeGroups({"attributes": attributes}, attributes)


def _refuse_repeats(attributes: tuple[str, ...]) -> None:
    repeated = sorted({name for name in attributes if attributes.count(name) > 1})
    if repeated:
        raise ValueError(f"attributes lists {', '.join(repeated)} more than once; list each once.")


def _refuse_bad_groups(groups: Mapping[str, Sequence[str]]) -> None:
    if not groups:
        raise ValueError("groups is empty; give at least one group of attributes.")
    for name, members in groups.items():
        if not isinstance(name, str) or not _GROUP_NAME.fullmatch(name):
            raise ValueError(
                f"group name {name!r} can't name an output of a Keras model; use letters, digits "
                "and underscores, beginning with a letter."
            )
        listed = isinstance(members, Sequence) and not isinstance(members, str)
        if not listed or not all(isinstance(member, str) for member in members):
            raise ValueError(f"group {name!r} must be a list of attribute names; got {members!r}.")
        if not members:
            raise ValueError(f"group {name!r} is empty; give it attributes or leave it out.")


def _refuse_bad_partition(groups: dict[str, tuple[str, ...]], attributes: tuple[str, ...]) -> None:
    owner: dict[str, str] = {}
    for group, members in groups.items():
        for attribute in members:
            if attribute not in attributes:
                raise ValueError(
                    f"group {group!r} names the unknown attribute {attribute!r}; the attributes "
                    f"are {', '.join(attributes)}."
                )
            if attribute in owner:
                raise ValueError(
                    f"attribute {attribute!r} is in group {owner[attribute]!r} and again in group "
                    f"{group!r}; keep it in one."
                )
            owner[attribute] = group
    missing = [attribute for attribute in attributes if attribute not in owner]
    if missing:
        raise ValueError(
            f"no group has {', '.join(missing)}; put each attribute in a group, or leave it out "
            "of `attributes`."
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
"""Eight groups by place on the face, the default. The names are those of the FAR-AMTN authors'
next paper (arXiv 2601.01408); the assignment of attributes to them is this package's choice."""

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
"""The groupings that can be asked for by name."""

DEFAULT_THRESHOLD = 0.5
"""A probability above it says yes, unless thresholds were chosen: in scores, in comparisons of
exported files, and in the metadata by which MediaPipe's ImageClassifier leaves out the others."""
