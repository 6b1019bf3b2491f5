"""A Celery application whose tasks queue writes: each process of its pool has opened the outbox for itself."""

import sys
from pathlib import Path

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown

from outlast.errors import ForkedError
from outlast.outbox import SyncOutbox

FILE, FOLDER, TASKS = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])

app = Celery("notes", broker="filesystem://")
app.conf.broker_transport_options = {
    "data_folder_in": str(FOLDER),
    "data_folder_out": str(FOLDER),
    "control_folder": str(FOLDER),
    "polling_interval": 0.05,
}
boxes = {}


@worker_process_init.connect
def open_outbox(**_):
    """Open it behind the fork, once in each process."""
    boxes["own"] = SyncOutbox.open(FILE)


@worker_process_shutdown.connect
def close_outbox(**_):
    """Finish what is being committed."""
    boxes["own"].close()


@app.task(bind=True)
def keep(task, number):
    """Queue a write, once however often the task is run."""
    boxes["own"].put("note", f"n{number}", {"n": number}, once=task.request.id)


@app.task
def keep_wrongly(number):
    """Queue by the outbox of the process that has forked this one, and tell what comes of it."""
    try:
        boxes["inherited"].put("note", f"wrong{number}", {})
    except ForkedError as error:
        boxes["own"].put("refusal", f"r{number}", {"said": str(error)})


if __name__ == "__main__":
    boxes["inherited"] = SyncOutbox.open(FILE)
    for place in range(TASKS):
        keep.apply_async((place,), task_id=f"task{place}")
        keep.apply_async((place,), task_id=f"task{place}")  # as a broker does that does not know whether it was run
    keep_wrongly.delay(0)
    options = ["--pool=prefork", "--concurrency=2", "--loglevel=WARNING"]
    app.worker_main(["worker", *options, "--without-gossip", "--without-mingle", "--without-heartbeat"])
