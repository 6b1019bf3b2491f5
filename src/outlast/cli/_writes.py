"""Turn records into writes, each under a name by which a second run knows it again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from outlast.cli._exit import CommandError, ExitCode
from outlast.cli._options import Shape
from outlast.cli._records import Problems, Record
from outlast.cli._template import Template, UnfitError, text_of
from outlast.outbox import Verb, Write

KIND = "push"
"""The kind of every write that this command queues; an outbox with other kinds belongs to another program."""


@dataclass(frozen=True, slots=True)
class Planned:
    """Hold a write that the input asks for.

    A write is known again by place and content: running the same input once more queues nothing, and a
    record that was edited is queued anew, also when it is edited back to what it once was.

    Args:
        write: The write, without its `once`.
        place: A digest of where it goes.
        content: A digest of what it does there.
        repeat: Its number among equal messages of the input, from 1; 0 for what has an address of its own.
    """

    write: Write
    place: str
    content: str
    repeat: int

    def named(self, number: int) -> Write:
        """Return the write under the name that keeps it from being queued twice.

        Args:
            number: How often this content was queued for this place before, plus 1.
        """
        once = f"{self.place}:{self.content}:{number}"
        # A message shares its address with all others; in one lane they would be sent one by one.
        lane = once if self.repeat else self.place
        write = self.write
        return Write(
            verb=write.verb, kind=KIND, entity=write.entity, body=write.body, content_type=write.content_type,
            target=write.target, lane=lane, once=once,
        )  # fmt: skip


def plan_writes(name: str, records: Sequence[Record], template: Template, shape: Shape) -> list[Planned]:
    """Return the write of each record, in the order of the input.

    Args:
        name: The name of the input, for messages.
        records: The records.
        template: Where they go.
        shape: How each becomes a request.

    Raises:
        CommandError: A record does not fit the template, or two have the same id.
    """
    shown = "standard input" if name == "-" else name
    _check_fields(records, template, shape)
    targets = _fill_all(shown, records, template, shape)
    _check_unique(shown, records, targets, shape)
    repeats: Counter[tuple[str, str]] = Counter()
    planned: list[Planned] = []
    for record, (url, entity) in zip(records, targets, strict=True):
        found = _plan(record, url, entity, shape)
        if shape.verb is Verb.POST:
            repeats[found.place, found.content] += 1
            found = Planned(found.write, found.place, found.content, repeats[found.place, found.content])
        planned.append(found)
    return planned


def _check_fields(records: Sequence[Record], template: Template, shape: Shape) -> None:
    if not records:
        return
    if not template.fields and shape.verb is not Verb.POST:
        said = "--to: without a field in it all records would go to one address"
        raise CommandError(ExitCode.BAD_TARGET, said, "Put in what tells them apart, such as {id}.")
    known = {name for record in records for name in record.fields}
    template.check_fields(known)
    if shape.id_field is not None and shape.id_field not in known:
        Template(template.text, (shape.id_field,), template.origin).check_fields(known)


def _fill_all(shown: str, records: Sequence[Record], template: Template, shape: Shape) -> list[tuple[str, str]]:
    problems = Problems(shown)
    targets: list[tuple[str, str]] = []
    for record in records:
        try:
            targets.append((template.fill(record.fields), _entity(record, template, shape)))
        except UnfitError as error:
            problems.add(record.line, str(error))
    problems.check(
        ExitCode.MALFORMED_INPUT, "Every record needs what fills the address. Correct these lines and run again."
    )
    return targets


def _entity(record: Record, template: Template, shape: Shape) -> str:
    names = template.fields if shape.id_field is None else (shape.id_field,)
    return "/".join(text_of(record.fields, name) for name in names) or f"line {record.line}"


def _check_unique(shown: str, records: Sequence[Record], targets: Sequence[tuple[str, str]], shape: Shape) -> None:
    problems = Problems(shown)
    seen: dict[str, int] = {}
    for record, (url, entity) in zip(records, targets, strict=True):
        keys = {f"id {entity}"} if shape.id_field is not None else set[str]()
        if shape.verb is not Verb.POST:
            keys.add(url)
        for key in sorted(keys & seen.keys())[:1]:
            problems.add(record.line, f"{entity!r} stands on line {seen[key]} already; both go to {url}")
        seen.update({key: record.line for key in keys if key not in seen})
    problems.check(ExitCode.DUPLICATE_ID, "Which of them is meant? Keep one of each and run again.")


def _plan(record: Record, url: str, entity: str, shape: Shape) -> Planned:
    body = _body(record, shape)
    write = Write(
        verb=shape.verb, kind=KIND, entity=entity, body=body, target=url,
        content_type=shape.content_type if body is not None else "application/json",
    )  # fmt: skip
    named = entity if shape.verb is Verb.POST and shape.id_field is not None else ""
    content = _digest(shape.verb.value, write.content_type, named, body)
    return Planned(write, _digest(url), content, 0)


def _body(record: Record, shape: Shape) -> bytes | None:
    if shape.verb is Verb.DELETE:
        return None
    text = record.text if shape.wrap is None else f"{{{json.dumps(shape.wrap)}:{record.text}}}"
    return text.encode()


def _digest(*parts: str | bytes | None) -> str:
    found = hashlib.blake2b(digest_size=12)
    for part in parts:
        data = b"" if part is None else part.encode() if isinstance(part, str) else part
        found.update(len(data).to_bytes(8, "big") + data)
    return found.hexdigest()
