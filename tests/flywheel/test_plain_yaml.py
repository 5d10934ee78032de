"""YAML as words: what it is a mapping or a list of agrees with the standard loaders, nothing is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.flywheel.files import HarmError
from clinasr_tui.flywheel.plain_yaml import load_plain

CONFIG = (Path(__file__).parents[1] / "data/nemo/model_config.yaml").read_text()
TEXT = st.text("ab1:é -#%&*!{}[],'\"\n~\\", max_size=6)
TREES = st.recursive(
    TEXT, lambda one: st.lists(one, max_size=3) | st.dictionaries(TEXT, one, max_size=3), max_leaves=9
)


@given(TREES, st.sampled_from([None, True, False]))
@settings(max_examples=150, deadline=None)
def test_what_was_written_is_read(tree: Any, style: bool | None) -> None:
    written = yaml.dump(tree, Dumper=yaml.SafeDumper, default_flow_style=style, allow_unicode=True)
    assert load_plain(written) == tree


def test_a_real_config_has_the_same_shape() -> None:
    def as_words(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: as_words(one) for key, one in value.items()}
        if isinstance(value, list):
            return [as_words(one) for one in value]
        return value if value is None or isinstance(value, bool) else str(value)

    found = as_words(yaml.safe_load(CONFIG))
    read = load_plain(CONFIG)
    assert isinstance(read, dict)
    assert read.keys() == found.keys()
    for key in ("labels", "joint", "decoder", "encoder", "decoding", "validation_ds", "model_defaults"):
        assert as_words(read[key]) == found[key]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing", None),
        ("null", None),
        ("[~, Null, '', 'null', nullx]", [None, None, "", "null", "nullx"]),
        ("[true, Yes, on, 'true', off, FALSE, y]", [True, True, True, "true", False, False, "y"]),
        ("[1, 0x10, 1:30, .inf, 2001-01-01]", ["1", "0x10", "1:30", ".inf", "2001-01-01"]),
        ("{on: 1, null: 2, 3: 4}", {"on": "1", "null": "2", "3": "4"}),
        ("{a: 1, a: 2}", {"a": "2"}),
        ("a:\n- '%'\n", {"a": ["%"]}),
        ("x: !!str 5\ny: !!int z", {"x": "5", "y": "z"}),
        ("---\nx: 1\n...\n", {"x": "1"}),
    ],
)
def test_words(text: str, value: object) -> None:
    assert load_plain(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: &a 1\nb: *a", "aliases"),
        ("%YAML 1.1\n---\nx: 1", "directives"),
        ("\ufeff%TAG ! b\n---\nx: 1", "directives"),
        ("# c\r%TAG ! b\r---\rx: 1", "directives"),
        ("x: !!python/name:os.system ''", "tags"),
        ("x: !mine [1]", "tags"),
        ("x: !<tag:elsewhere> {}", "tags"),
        ("{[1]: 2}", "no word"),
        ("1\n---\n2", "more than one document"),
        ("[" * 41 + "]" * 41, "nested"),
    ],
)
def test_what_no_config_needs_is_refused(text: str, said: str) -> None:
    with pytest.raises(HarmError, match=said):
        load_plain(text)


@given(st.text("ab1:é -#%&*!{}[],'\"\n~\\?|>\t\r", max_size=30))
@settings(max_examples=300, deadline=None)
def test_any_text_ends_in_a_value_or_an_error(text: str) -> None:
    try:
        load_plain(text)
    except (yaml.YAMLError, HarmError):
        return
    yaml.load(text, getattr(yaml, "CBaseLoader", yaml.BaseLoader))
