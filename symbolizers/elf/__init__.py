"""A small reader of 64-bit little-endian ELF files that belong to targets, so every number is checked."""
