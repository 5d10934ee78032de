"""YAML of an untrusted file as plain text: mappings, lists and words, none of them computed.

YAML's own typing reads `1:1:1` in base sixty and turns a line of digits into a number: work, and errors, that
grow faster than the file. Whoever needs a number reads the word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias

import yaml
from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    DocumentEndEvent,
    DocumentStartEvent,
    Event,
    ScalarEvent,
    SequenceStartEvent,
    StreamEndEvent,
    StreamStartEvent,
)

from clinasr_tui.flywheel.files import HarmError

Value: TypeAlias = "str | bool | list[Value] | dict[str, Value] | None"

MOST_DEPTH = 40
MOST_EVENTS = 400_000
_DIRECTIVE = re.compile("(?:^|[\n\r\x85\u2028\u2029])\ufeff?%")
_TAGGED = (ScalarEvent, CollectionStartEvent)
_TAGS = {f"tag:yaml.org,2002:{name}" for name in ("null", "bool", "int", "float", "str", "seq", "map")}
_TAGS |= {"!", "tag:yaml.org,2002:binary", "tag:yaml.org,2002:timestamp"}
_AROUND = (StreamStartEvent, DocumentStartEvent, DocumentEndEvent, StreamEndEvent)
_NULL = frozenset({"", "~", "null"})
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})


def load_plain(text: str) -> Value:
    """The one document in `text`; numbers stay words. None for an empty one.

    Raises YAMLError for what is no YAML, HarmError for what no config needs: aliases, directives, foreign
    tags, keys that are no words, and more values or depth than there ever are.
    """
    if _DIRECTIVE.search(text):
        raise HarmError("its YAML has directives (lines that begin with %)")
    loader = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
    events = _expected(yaml.parse(text, loader))
    documents = [_value(event, events, 0) for event in events if not isinstance(event, _AROUND)]
    if len(documents) > 1:
        raise HarmError("its YAML has more than one document")
    return documents[0] if documents else None


def _expected(events: Iterator[Event]) -> Iterator[Event]:
    """The parser's events, as long as a config has such. Raises HarmError."""
    for count, event in enumerate(events):
        if count > MOST_EVENTS:
            raise HarmError(f"its YAML has more than {MOST_EVENTS:,} values")
        if isinstance(event, AliasEvent):
            raise HarmError("its YAML repeats parts of itself (aliases)")
        tag = event.tag if isinstance(event, _TAGGED) else None
        if tag is not None and tag not in _TAGS:
            raise HarmError("its YAML has tags of its own")
        yield event


def _value(event: Event, events: Iterator[Event], depth: int) -> Value:
    """What an event begins; the events of a collection are taken up to its end."""
    if isinstance(event, ScalarEvent):
        return _word(event)
    if depth >= MOST_DEPTH:
        raise HarmError("its YAML is nested too deeply")
    if isinstance(event, SequenceStartEvent):
        return [_value(one, events, depth + 1) for one in _inside(events)]
    found: dict[str, Value] = {}
    for key in _inside(events):
        if not isinstance(key, ScalarEvent):
            raise HarmError("its YAML has a key that is no word")
        found[key.value] = _value(next(events), events, depth + 1)
    return found


def _inside(events: Iterator[Event]) -> Iterator[Event]:
    for event in events:
        if isinstance(event, CollectionEndEvent):
            return
        yield event


def _word(event: ScalarEvent) -> str | bool | None:
    """A scalar's text; null, true and false where they stand unquoted."""
    word: str = event.value
    if not event.implicit[0] or len(word) > 5:
        return word
    folded = word.lower()
    if folded in _TRUE or folded in _FALSE:
        return folded in _TRUE
    return None if folded in _NULL else word
