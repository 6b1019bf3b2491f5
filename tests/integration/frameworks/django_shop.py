"""A Django project in one file: an order and its announcement are committed together, or neither is."""

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django import conf, db
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

from outlast.outbox import Verb, Write, enqueue_in


def order(request, name):
    """Store an order and announce it; Django takes both back when the view raises."""
    with db.connection.cursor() as cursor:
        cursor.execute("INSERT INTO orders (id) VALUES (%s)", [name])
    enqueue_in(db.connection.connection, Write(verb=Verb.CREATE, kind="order", entity=name, body=request.body))
    if "fail" in request.GET:
        raise ValueError("the shop has burnt down")
    return HttpResponse(status=201)


urlpatterns = [path("orders/<name>", order)]


class Quiet(WSGIRequestHandler):
    """Say nothing of each request."""

    def log_message(self, *_):
        """Say nothing."""


if __name__ == "__main__":
    database = {"ENGINE": "django.db.backends.sqlite3", "NAME": sys.argv[1], "ATOMIC_REQUESTS": True}
    conf.settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"], DATABASES={"default": database})
    django.setup()
    with db.connection.cursor() as cursor:
        cursor.execute("CREATE TABLE orders (id TEXT)")
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    server.serve_forever()
