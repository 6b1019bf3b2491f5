"""The doctor: what is wrong with an outbox, why a write does not go, and what can be saved."""

from outlast.outbox._doctor.downgrade import downgrade
from outlast.outbox._doctor.epoch import begin_epoch
from outlast.outbox._doctor.examine import Finding, examine
from outlast.outbox._doctor.explain import Why, explain, nobody
from outlast.outbox._doctor.filling import Doubtful
from outlast.outbox._doctor.salvage import SalvageReport, salvage

__all__ = [
    "Doubtful",
    "Finding",
    "SalvageReport",
    "Why",
    "begin_epoch",
    "downgrade",
    "examine",
    "explain",
    "nobody",
    "salvage",
]
