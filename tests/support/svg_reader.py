"""Reads what the flame graphs' SVG says, box by box."""

from __future__ import annotations

from xml.etree import ElementTree

NS = "{http://www.w3.org/2000/svg}"


def title(box: ElementTree.Element) -> list[str]:
    """The lines of what a box says."""
    return box.findtext(f"{NS}title", "").split("\n")


def number(box: ElementTree.Element, attribute: str) -> float:
    """Of its rectangle, without the sign for percent."""
    rect = box.find(f"{NS}rect")
    assert rect is not None
    return float(rect.attrib[attribute].rstrip("%"))


def head_lines(picture: ElementTree.Element) -> list[str]:
    """The lines above the boxes."""
    return [element.text or "" for element in picture.findall(f"{NS}g/{NS}text")]
