"""How Ruby's labels are made of names. Pure; the reader and what the kernel takes use the same functions."""

from __future__ import annotations


def method_label(class_name: str, name: str, *, is_singleton: bool) -> str:
    """``Class#name``, or ``Module.name`` for one of the singleton's; `name` alone if the class has none."""
    return f"{class_name}{'.' if is_singleton else '#'}{name}" if class_name else name


def with_class(label: str, name: str, labelled: str) -> str:
    """A compiled `label`, which ends with the method's `name`, with `labelled` in place of that."""
    return label[: len(label) - len(name)] + labelled if label.endswith(name) else label


def in_blocks(label: str, levels: int) -> str:
    """The label of a block that is so many blocks deep in what has `label`; for 0, `label` itself."""
    if not levels:
        return label
    return f"block in {label}" if levels == 1 else f"block ({levels} levels) in {label}"
