"""Consent: the word YES, typed key by key at one prompt, for one offer, once, and not for long."""

from __future__ import annotations

import ast
import copy
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.box import consent as module
from clinasr_tui.box.consent import Consent, ConsentError, TypedWord, check, redeem
from clinasr_tui.errors import ExitCode
from clinasr_tui.flywheel.cost import Offer, PriceSource
from tests.support.typing import Hands, typed

PACKAGE = Path(module.__file__).parents[1]
OFFER = Offer("massedcompute_L40S", "L40S", 1, 48, 200, 1.06, PriceSource.LIVE, 0.0, stoppable=True)


@pytest.fixture
def hands():
    return Hands()


def test_the_word_typed_is_consent_to_what_was_shown(hands):
    word = hands.word("box", OFFER)
    hands.type(word, "YES")
    consent = hands.enter(word)
    assert consent is not None
    assert (consent.name, consent.offer, consent.action, consent.door) == ("box", OFFER, "create", "dialog")
    assert redeem(consent, "box", OFFER) is consent


@pytest.mark.parametrize(
    "text",
    [
        "",
        "y",
        "Y",
        "yes",
        "Yes",
        "YES ",
        " YES",
        "YES\t",
        "YESYES",
        "YYYEEESSS",
        "YE",
        "YES!",
        "ＹＥＳ",
        "true",
    ],
)
def test_anything_else_is_none(hands, text):
    word = hands.word("box", OFFER)
    hands.type(word, text)
    assert hands.enter(word) is None


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=40).filter(lambda text: text != "YES"))
def test_no_other_text_is_consent(text):
    hands = Hands()
    word = hands.word("box", OFFER)
    hands.type(word, text)
    assert hands.enter(word) is None


def test_a_slip_may_be_corrected_at_the_prompt(hands):
    word = hands.word("box", OFFER)
    hands.type(word, "YEA")
    hands.now += 0.2
    word.backspace()
    hands.type(word, "S")
    assert hands.enter(word) is not None


def test_a_paste_spoils_the_prompt_even_if_the_word_is_typed_afterwards(hands):
    word = hands.word("box", OFFER)
    word.paste()
    hands.type(word, "YES")
    assert hands.enter(word) is None
    assert "key by key" in word.spoiled


def test_a_key_that_brings_several_characters_is_a_paste(hands):
    word = hands.word("box", OFFER)
    hands.now += 0.2
    word.key("YES")
    assert hands.enter(word) is None


def test_keys_faster_than_anybody_types_are_a_paste_or_a_replay(hands):
    word = hands.word("box", OFFER)
    for character in "YES":
        hands.now += 0.001
        word.key(character)
    assert hands.enter(word) is None
    assert "faster" in word.spoiled


def test_keys_typed_ahead_do_not_count(hands):
    word = TypedWord("box", OFFER, door="dialog", clock=hands.clock)
    hands.type(word, "YES")
    assert word.enter() is None
    word.shown()
    for character in "YE":
        hands.now += 0.1
        word.key(character)
    hands.now += 1
    hands.type(word, "S")
    assert word.text == "S"
    assert hands.enter(word) is None


def test_a_held_key_is_not_the_word(hands):
    word = hands.word("box", OFFER)
    for character in "YEEEES":
        hands.now += 0.03
        word.key(character)
    assert hands.enter(word) is None


def test_a_prompt_answers_once(hands):
    word = hands.word("box", OFFER)
    assert hands.enter(word) is None
    hands.type(word, "YES")
    assert hands.enter(word) is None


# --- the token ----------------------------------------------------------------------------------------


def test_it_is_used_once():
    consent = typed("box", OFFER)
    redeem(consent, "box", OFFER)
    with pytest.raises(ConsentError, match="used already"):
        redeem(consent, "box", OFFER)


@pytest.mark.parametrize(
    ("name", "changes", "action"),
    [
        ("other", {}, "create"),
        ("box", {"type": "g6e.2xlarge"}, "create"),
        ("box", {"price_per_hour": 1.07}, "create"),
        ("box", {"disk_gb": 500.0}, "create"),
        ("box", {"gpu_count": 2}, "create"),
        ("box", {"seen_at": 1.0}, "create"),
        ("box", {}, "start"),
    ],
)
def test_it_is_for_the_one_offer_it_was_given_for(name, changes, action):
    consent = typed("box", OFFER)
    with pytest.raises(ConsentError, match="another offer"):
        redeem(consent, name, replace(OFFER, **changes), action)


def test_it_grows_old(hands):
    word = hands.word("box", OFFER)
    hands.type(word, "YES")
    consent = hands.enter(word)
    hands.now += 121
    with pytest.raises(ConsentError, match="older than 120 s"):
        check(consent, "box", OFFER)


def test_programs_cannot_make_copy_or_change_one():
    with pytest.raises(ConsentError, match="no GPU instance was created"):
        Consent("id", "box", OFFER, "create", False, 0.0, "dialog", object())
    real = typed("box", OFFER)
    for forged in (copy.copy(real), copy.deepcopy(real), None, True, "YES", 1, object(), OFFER):
        with pytest.raises(ConsentError) as caught:
            check(forged, "box", OFFER)
        assert caught.value.exit_code == ExitCode.DECLINED
    dear = replace(OFFER, price_per_hour=9.0)
    object.__setattr__(real, "offer", dear)
    with pytest.raises(ConsentError):
        check(real, "box", dear)
    with pytest.raises((ConsentError, TypeError, pickle.PicklingError, AttributeError)):
        check(pickle.loads(pickle.dumps(typed("box", OFFER))), "box", OFFER)


def test_only_the_dialog_and_the_prompt_on_a_terminal_can_ask():
    """Nothing else in the package names what a consent is made with."""
    users = {}
    for path in PACKAGE.rglob("*.py"):
        names = {
            getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "name", None)
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        }
        found = names & {"TypedWord", "_issue", "_issued", "_SECRET"}
        if found:
            users[str(path.relative_to(PACKAGE))] = found
    users.pop("box/consent.py")
    allowed = {"screens/cost_dialog.py", "commands/consent_prompt.py"}
    assert set(users) <= allowed
    assert all(found == {"TypedWord"} for found in users.values())


def test_only_one_module_knows_the_commands_that_spend():
    """The templates of `create` and `start` are used where a consent is redeemed, and nowhere else."""
    callers = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and "brev_commands" in ast.dump(node)
    }
    assert callers == {"box/brev.py"}
