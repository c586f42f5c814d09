"""A FastAPI site: a request is parsed, checked, and answered as JSON."""

from __future__ import annotations

from fastapi import FastAPI
from pydantic import BaseModel


class Order(BaseModel):
    """One row of the answer."""

    number: int
    name: str
    total: float


application = FastAPI()


@application.get("/")
async def orders(count: int = 40) -> list[Order]:
    """As many orders as were asked for."""
    return [Order(number=number, name=f"order {number}", total=number * 1.19) for number in range(count)]
