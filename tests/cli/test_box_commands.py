"""provision, box, stop and delete as processes: on a real terminal or refused, and what they tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from clinasr_tui.box.state import BoxBook
from tests.support.brev import FakeBrev
from tests.support.fake_brev import FLEXIBLE, L40S
from tests.support.operator import Operator

NAME = "digital-health-clinical-asr-sft"
PROMPT = "Type YES to provision"


@pytest.fixture
def brev(tmp_path):
    fake = FakeBrev(tmp_path / "brev")
    fake.set(steps={"DEPLOYING": 0, "STARTING": 0, "STOPPING": 0, "DELETING": 0})
    return fake


@pytest.fixture
def env(brev, tmp_path):
    (tmp_path / "home").mkdir()
    return {
        **os.environ,
        "PATH": brev.path,
        "HOME": str(tmp_path / "home"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }


@pytest.fixture
def book(tmp_path):
    return BoxBook(tmp_path / "state" / "clinasr-tui")


@pytest.fixture
def command(env, tmp_path):
    def run(*argv, **given):
        argv = [sys.executable, "-m", "clinasr_tui", *argv]
        return subprocess.run(
            argv, capture_output=True, text=True, check=False, env=env, cwd=tmp_path, **given
        )

    return run


def rented(env, *argv):
    """Rent as an operator does."""
    operator = Operator(["provision", "--no-wait", *argv], env)
    operator.wait_for(PROMPT)
    operator.settle()
    operator.type("Y", "E", "S", "\r")
    assert operator.end() == 0, operator.seen
    return operator.seen


# --- consent ----------------------------------------------------------------------------------------


def test_the_word_typed_at_a_terminal_rents_the_one_offer_shown(env, brev, book):
    seen = rented(env)
    assert f"{NAME} · L40S 48 GB · 625 GB disk" in seen
    assert f"$1.06 per hour (live offer {L40S['type']}, " in seen
    assert "a night $25" in seen
    assert "cannot be stopped, only deleted" in seen
    assert [(box["name"], box["type"]) for box in brev.boxes] == [(NAME, L40S["type"])]
    assert f"{NAME} bills on: $1.06 per hour" in seen
    (consent,) = [json.loads(line) for line in book.log.read_text().splitlines()]
    assert (consent["typed_at"], consent["price_per_hour"]) == ("terminal", 1.06)


@pytest.mark.parametrize(
    "keys",
    [
        ("\r",),
        ("y", "e", "s", "\r"),
        ("Y", "E", "S", " ", "\r"),
        ("YES", "\r"),
        ("\x1b[200~YES\x1b[201~", "\r"),
        ("\x1b[200~YES\r\x1b[201~",),
        ("Y", "E", "\x03"),
        ("\x04",),
    ],
    ids=repr,
)
def test_anything_else_is_declined(env, brev, book, keys):
    operator = Operator(["provision"], env)
    operator.wait_for(PROMPT)
    operator.settle()
    operator.type(*keys)
    assert operator.end() == 4, operator.seen
    assert "no GPU instance was created" in operator.seen
    assert brev.ran("create") == []
    assert not book.path.exists()


def test_keys_typed_ahead_or_replayed_at_once_are_no_answer(env, brev):
    operator = Operator(["provision"], env)
    operator.type("Y", "E", "S", "\r", pause=0.05)
    operator.wait_for(PROMPT)
    operator.type("Y", "E", "S", "\r", pause=0.02)
    operator.settle()
    operator.type("Y", "E", "S", "\r", pause=0.001)
    assert operator.end() == 4, operator.seen
    assert "no GPU instance was created" in operator.seen
    assert brev.ran("create") == []


@pytest.mark.parametrize("text", ["YES\n", "", "y\nYES\n"])
def test_standard_input_that_is_no_terminal_is_refused(command, brev, text):
    done = command("provision", input=text)
    assert done.returncode == 2
    assert "must be typed at a terminal" in done.stderr
    assert "no GPU instance was created" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert brev.calls == []


@pytest.mark.parametrize("flag", ["--yes", "-y", "--force"])
def test_no_flag_stands_in_for_the_word(command, brev, flag):
    assert command("provision", flag, input="YES\n").returncode == 2
    assert brev.calls == []


def test_no_variable_or_setting_does(env, brev, tmp_path):
    (tmp_path / "clinasr.toml").write_text('[box]\nyes = true\nconsent = "YES"\n')
    names = ("YES", "CLINASR_YES", "CLINASR_TUI_YES", "CLINASR_CONSENT", "BREV_YES", "CI", "ASSUME_YES")
    operator = Operator(["provision"], {**env, **dict.fromkeys(names, "YES")})
    operator.wait_for(PROMPT)
    operator.settle()
    operator.type("\r")
    assert operator.end() == 4
    assert brev.ran("create") == []


def test_the_terminal_is_left_as_it_was(env, brev):
    operator = Operator(["provision"], env)
    operator.wait_for(PROMPT)
    operator.settle()
    operator.type("n", "\r")
    operator.wait_for("cancelled")
    flags = termios.tcgetattr(operator._fd)[3]
    assert flags & termios.ICANON
    assert flags & termios.ECHO
    assert operator.end() == 4
    assert operator.seen.rindex("\x1b[?2004l") > operator.seen.rindex("\x1b[?2004h")


# --- choosing ---------------------------------------------------------------------------------------


def test_a_named_type_is_asked_about(env, brev):
    rented(env, "--stoppable", "--type", FLEXIBLE["type"], "--stop-when-done")
    assert brev.boxes[0]["type"] == FLEXIBLE["type"]


@pytest.mark.parametrize(
    ("argv", "code", "said"),
    [
        (["--sku", "l40s:9"], 2, "no kind of box"),
        (["--disk", "5"], 2, "not from 30"),
        (["--sku", "h100:1"], 3, "no offer of h100:1"),
        (["--type", "other"], 3, "named other"),
        (["--name", "-rf"], 2, "--help"),
        (["--name", "a b"], 2, "cannot be a box's name"),
        (["--stop-when-done"], 2, "cannot be stopped"),
    ],
)
def test_what_cannot_be_asked_about_ends_before_the_prompt(env, brev, argv, code, said):
    operator = Operator(["provision", *argv], env)
    assert operator.end() == code, operator.seen
    assert said in operator.seen.replace("\r\n", " ")
    assert "Traceback" not in operator.seen
    assert brev.ran("create") == []


def test_signed_out_names_the_operators_own_step(env, brev):
    brev.set(signed_in=False)
    operator = Operator(["provision"], env)
    assert operator.end() == 3
    assert "Run `brev login`" in operator.seen
    assert not (brev.folder / "asked_to_log_in").exists()


# --- box, stop, delete --------------------------------------------------------------------------------


def test_box_tells_what_is_rented_and_what_it_costs(env, command, brev):
    rented(env)
    brev.add_box("somebody-elses")
    document = json.loads(command("box", "--json").stdout)
    assert next(iter(document)) == "schema"
    assert document["schema"] == "clinasr.box/1"
    (box,) = document["boxes"]
    assert (box["name"], box["bills"], box["price_per_hour"], box["stoppable"]) == (NAME, True, 1.06, False)
    assert 0 < box["cost"] < 0.1
    assert [one["name"] for one in document["others"]] == ["somebody-elses"]
    plain = command("box").stdout
    assert "at most" in plain
    assert "not rented from here" in plain


def test_box_lists_offers_with_their_prices(command):
    done = command("box", "--offers")
    assert done.returncode == 0
    assert "$1.06/h" in done.stdout
    assert "only delete" in done.stdout
    offers = json.loads(command("box", "--offers", "--stoppable", "--json").stdout)["offers"]
    assert all(offer["stoppable"] for offer in offers)
    assert {offer["source"] for offer in offers} == {"live"}


def test_a_box_that_cannot_be_looked_after_is_a_failure(env, command, brev):
    rented(env)
    brev.set(fails={"ls": "rpc error"})
    done = command("box")
    assert done.returncode == 3
    assert NAME in done.stdout
    assert "Brev could not be asked" in done.stderr


def test_stop_and_delete_wait_until_brev_says_so(env, command, brev):
    rented(env, "--stoppable")
    stopped = command("stop")
    assert stopped.returncode == 0, stopped.stderr
    assert "only its disk bills" in stopped.stdout
    deleted = command("delete", NAME, "--yes")
    assert deleted.returncode == 0, deleted.stderr
    assert brev.boxes == []
    assert json.loads(command("box", "--json").stdout)["billing"] is False


def test_stop_of_a_type_that_cannot_be_stopped_says_what_to_do(env, command, brev):
    rented(env)
    done = command("stop")
    assert done.returncode == 2
    assert "cannot be stopped and bills on" in done.stderr
    assert "delete" in done.stderr


def test_delete_asks_for_the_name_or_for_yes(env, command, brev):
    rented(env)
    assert command("delete", input=f"{NAME}\n").returncode == 2
    operator = Operator(["delete"], env)
    operator.wait_for("Type its name")
    assert "are lost" in operator.seen.replace("\r\n", " ")
    operator.type("n", "o", "\r")
    assert operator.end() == 4
    assert len(brev.boxes) == 1
    assert brev.ran("delete") == []


def test_a_stopped_box_is_started_only_after_the_same_question(env, command, brev):
    rented(env, "--stoppable")
    command("stop")
    operator = Operator(["provision", "--no-wait"], env)
    operator.wait_for("Type YES to start it")
    operator.settle()
    operator.type("n", "\r")
    assert operator.end() == 4
    assert brev.ran("start") == []


def test_without_brev_no_box_is_needed_and_nothing_fails(command, env, tmp_path):
    env["PATH"] = str(tmp_path / "home")
    done = command("box")
    assert done.returncode == 0
    assert "any SSH host, or this machine, needs none" in done.stdout
    assert command("stop", "my-box").returncode == 3
