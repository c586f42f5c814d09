"""A Django site in one file: a page that is made by templates, from what a form and a context give."""

from __future__ import annotations

from pathlib import Path

import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="none: nothing is signed",
    ROOT_URLCONF=__name__,
    MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [Path(__file__).parent / "templates"],
        }
    ],
)
django.setup()


def page(request: HttpRequest) -> HttpResponse:
    """A table of orders."""
    orders = [{"number": number, "name": f"order {number}", "sum": number * 1.19} for number in range(40)]
    return render(request, "django.html", {"orders": orders, "title": "Orders"})


urlpatterns = [path("", page)]
application = get_wsgi_application()
