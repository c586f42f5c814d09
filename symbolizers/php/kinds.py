"""PHP's name as the kind of its frames, and the kinds of what its walker captures."""

from __future__ import annotations

from typing import Final

NAME: Final = "php"

PHP_FUNCTION: Final = 4
PHP_INTERNAL: Final = 5
PHP_INCLUDE: Final = 6
PHP_INCLUDE_ONCE: Final = 7
PHP_REQUIRE: Final = 8
PHP_REQUIRE_ONCE: Final = 9
"""As ``enum php_kind`` in profiler/bpf/php_layout.h."""
