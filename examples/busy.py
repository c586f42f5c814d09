"""A small order service that never rests: JSON in, prices and a fraud check, compressed JSON out.

``busy.py [SECONDS]`` says ``ready`` and runs for that long, or until it is terminated.
"""

from __future__ import annotations

import json
import random
import re
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

EMAIL = re.compile(r"^[\w.+-]+@([\w-]+\.)+[a-z]{2,}$")
WORD = re.compile(r"\b\w{4,}\b")
NOTES = "please leave the parcel with the neighbour and ring the bell twice before you go " * 4


@dataclass(frozen=True)
class Order:
    """What a customer wants."""

    number: int
    email: str
    prices: tuple[int, ...]
    note: str


def incoming_requests(seed: int) -> Iterator[str]:
    """JSON documents, without end."""
    chance = random.Random(seed)
    number = 0
    while True:
        number += 1
        yield json.dumps(
            {
                "number": number,
                "email": f"customer.{chance.randrange(1000)}@shop.example.com",
                "prices": [chance.randrange(1, 10_000) for _ in range(40)],
                "note": NOTES,
            }
        )


class FraudCheck:
    """Scores an order by the look of its address, its note and its prices."""

    def score(self, order: Order) -> int:
        return self.score_address(order.email) + self.score_note(order.note) + self.score_prices(order.prices)

    def score_address(self, email: str) -> int:
        return 0 if EMAIL.match(email) else 100

    def score_note(self, note: str) -> int:
        words = WORD.findall(note)
        return len(words) - len(set(words))

    def score_prices(self, prices: tuple[int, ...]) -> int:
        """How far the first digits are from what honest numbers show."""
        seen = [0] * 10
        for price in prices:
            while price >= 10:
                price //= 10
            seen[price] += 1
        return max(seen) - min(seen)


class Pricing:
    """Turns prices into a bill."""

    def total(self, order: Order) -> int:
        return sum(self.with_tax(self.with_discount(price)) for price in order.prices)

    def with_discount(self, price: int) -> int:
        return price - price // 20 if price > 5_000 else price

    def with_tax(self, price: int) -> int:
        return price + price * 19 // 100


class OrderService:
    """Parses, checks, prices and archives one order after the other."""

    def __init__(self) -> None:
        self._fraud = FraudCheck()
        self._pricing = Pricing()
        self._batch: list[dict[str, int]] = []
        self.archived_bytes = 0

    def handle(self, request: str) -> None:
        order = self.parse(request)
        self._batch.append(
            {
                "number": order.number,
                "fraud": self._fraud.score(order),
                "total": self._pricing.total(order),
            }
        )
        if len(self._batch) == 500:
            self.archive()

    def parse(self, request: str) -> Order:
        fields = json.loads(request)
        return Order(fields["number"], fields["email"], tuple(fields["prices"]), fields["note"])

    def archive(self) -> None:
        packed = zlib.compress(json.dumps(self._batch).encode(), 9)
        self.archived_bytes += len(packed)
        self._batch.clear()


def serve(until: float) -> None:
    """Handle requests until the monotonic clock says `until`."""
    service = OrderService()
    for request in incoming_requests(seed=20):
        service.handle(request)
        if time.monotonic() >= until:
            return


def main() -> None:
    """Say ready and serve."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else float("inf")
    print("ready", flush=True)
    serve(time.monotonic() + seconds)


if __name__ == "__main__":
    main()
