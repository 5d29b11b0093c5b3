"""A number and its noun, 1 group, 2 groups; a noun and its article, a list, an int."""

from __future__ import annotations


def plural(number: float, noun: str, several: str = "") -> str:
    """A number with thousands separators, and its noun in the singular or plural.

    Args:
        number: a whole number, or one such as 0.5 epochs.
        noun: for one.
        several: for any other number; without it the noun gets an s.

    Example:
        >>> plural(1, "group"), plural(440812, "parameter"), plural(0.5, "epoch")
        ('1 group', '440,812 parameters', '0.5 epochs')
        >>> plural(2, "class", "classes")
        '2 classes'
    """
    text = f"{number:,}" if isinstance(number, int) else f"{number:g}"
    return f"{text} {noun if number == 1 else several or noun + 's'}"


def kind_of(value: object) -> str:
    """The name of a value's class, with its article.

    Example:
        >>> kind_of([]), kind_of(3)
        ('a list', 'an int')
    """
    name = type(value).__name__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"
