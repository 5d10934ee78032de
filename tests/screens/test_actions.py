"""The one table of actions: no key means two things, everything it names exists."""

from __future__ import annotations

from collections import Counter

import pytest
from textual.app import App
from textual.screen import Screen

from clinasr_tui.actions import ACTIONS, SCREENS, actions_for, bindings_for, key_names
from clinasr_tui.app import SCREEN_CLASSES, ClinasrApp, _maker

SCREEN_IDS = sorted({action.screen for action in ACTIONS})


def _keys(screen: str) -> list[str]:
    return [key.strip() for action in actions_for(screen) for key in action.key.split(",")]


@pytest.mark.parametrize("screen", SCREEN_IDS)
def test_no_key_means_two_things_on_a_screen(screen):
    keys = _keys(screen) + (_keys("") if screen else [])
    assert [key for key, count in Counter(keys).items() if count > 1] == []


def test_every_action_says_what_it_does():
    for action in ACTIONS:
        assert action.label
        assert action.category
        assert action.help.endswith(".")
        assert action.key


@pytest.mark.parametrize("screen", sorted(SCREENS))
def test_every_action_of_a_screen_exists(screen):
    made = _maker(SCREEN_CLASSES[screen])()
    for action in actions_for(screen):
        owner = ClinasrApp if action.id.startswith("app.") else type(made)
        name = "action_" + action.id.removeprefix("app.").partition("(")[0]
        assert hasattr(owner, name), action.id
    assert screen == made.SCREEN_ID


def test_every_action_of_the_app_exists():
    for action in actions_for(""):
        assert hasattr(ClinasrApp, "action_" + action.id.partition("(")[0]), action.id


def test_number_keys_lead_to_every_screen():
    numbers = {action.id: action.key for action in actions_for("") if action.id.startswith("show(")}
    assert set(numbers) == {f"show('{screen}')" for screen in SCREENS}
    assert numbers["show('watch')"] == "5"
    assert set(SCREEN_CLASSES) == set(SCREENS)


def test_no_screen_key_hides_a_key_of_textual_that_must_work():
    kept = {"ctrl+c", "ctrl+q"}
    assert kept.isdisjoint(key for screen in SCREEN_IDS for key in _keys(screen))
    assert issubclass(ClinasrApp, App)
    assert all(isinstance(binding.key, str) for binding in bindings_for("gate"))
    assert issubclass(type(_maker(SCREEN_CLASSES["gate"])()), Screen)


@pytest.mark.parametrize(
    ("keys", "shown"),
    [
        ("question_mark,f1", "? F1"),
        ("ctrl+t", "^t"),
        ("left_square_bracket", "["),
        ("enter", "Enter"),
        ("right_curly_bracket", "}"),
        ("a", "a"),
    ],
)
def test_keys_read_as_they_are_typed(keys, shown):
    assert key_names(keys) == shown
