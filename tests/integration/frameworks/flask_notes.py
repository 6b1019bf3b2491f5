"""A Flask application whose requests queue writes in one outbox, served by threads."""

import sys

from flask import Flask, request
from werkzeug.serving import make_server

from outlast.outbox import SyncOutbox

app = Flask(__name__)
boxes = {}


@app.put("/notes/<entity>")
def keep(entity):
    """Answer once the write is durable."""
    ticket = boxes["own"].put("note", entity, request.get_json())
    return {"place": ticket.seq, "state": ticket.status().state}, 202


if __name__ == "__main__":
    boxes["own"] = SyncOutbox.open(sys.argv[1])
    server = make_server("127.0.0.1", 0, app, threaded=True)
    sys.stdout.write(f"{server.port}\n")
    sys.stdout.flush()
    server.serve_forever()
