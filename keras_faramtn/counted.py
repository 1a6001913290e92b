"""Numbers of things, in words."""


def counted(number: int, noun: str) -> str:
    """A number with its noun, in the plural unless it is one.

    Example:
        >>> counted(1, "image"), counted(1200, "image")
        ('1 image', '1,200 images')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
