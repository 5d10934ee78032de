"""Brev's CLI, driven as its source says it behaves, against a strict fake with its traps."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import time
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.box import brev_commands
from clinasr_tui.box.brev import BrevCli, BrevMissingError, NotSignedInError, UnclearError
from clinasr_tui.box.brev_answers import BoxStatus, read_instances, read_offers
from clinasr_tui.box.consent import ConsentError, TypedWord
from clinasr_tui.errors import RemoteError
from clinasr_tui.flywheel.cost import DEFAULT_SKU, PriceSource, sku
from tests.support.brev import FakeBrev
from tests.support.children import none_is_left
from tests.support.fake_brev import FLEXIBLE, L40S
from tests.support.typing import typed

NAME = "digital-health-clinical-asr-sft"


@pytest.fixture
def brev(tmp_path):
    return FakeBrev(tmp_path / "brev")


@pytest.fixture
def cli(brev):
    return BrevCli(str(brev.program))


async def best_offer(cli):
    return (await cli.offers(DEFAULT_SKU))[0]


# --- the traps themselves: the fake would catch us -------------------------------------------------


def run_fake(brev, *argv, stdin):
    return subprocess.run([brev.program, *argv], input=stdin, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("pinned", ["", "[]", "\n"])
def test_the_fake_rents_the_cheapest_gpu_of_any_kind_for_an_empty_list(brev, pinned):
    assert run_fake(brev, "create", NAME, "--detached", stdin=pinned).returncode == 0
    assert brev.boxes[0]["gpu"] == "T4"


def test_the_fake_falls_back_to_dearer_types(brev):
    brev.set(no_capacity=[L40S["type"]])
    two = json.dumps([{"type": L40S["type"]}, {"type": "g6e.2xlarge"}])
    assert run_fake(brev, "create", NAME, "--detached", stdin=two).returncode == 0
    assert brev.boxes[0]["type"] == "g6e.2xlarge"


def test_the_fake_hangs_on_an_open_pipe_and_asks_to_log_in(brev):
    with subprocess.Popen(
        [brev.program, "create", NAME], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as child:
        with pytest.raises(subprocess.TimeoutExpired):
            child.wait(0.6)
        child.kill()
    brev.set(signed_in=False)
    assert "log in? [Y/n]" in run_fake(brev, "ls", "--json", stdin="").stdout


# --- asking -----------------------------------------------------------------------------------------


async def test_offers_are_live_of_the_kind_asked_for_and_cheapest_first(cli):
    offers = await cli.offers(DEFAULT_SKU)
    assert [offer.type for offer in offers] == [L40S["type"], FLEXIBLE["type"], "g6e.2xlarge"]
    assert {offer.source for offer in offers} == {PriceSource.LIVE}
    assert [offer.disk_gb for offer in offers] == [625, 200, 200], "a fixed disk is what it is"
    assert offers[0].stoppable is False
    assert time.time() - offers[0].seen_at < 60


async def test_only_stoppable_ones_where_asked(cli):
    assert all(offer.stoppable for offer in await cli.offers(DEFAULT_SKU, stoppable=True))


async def test_no_offer_is_an_empty_list_and_no_error(cli):
    h100 = sku("h100:1")
    assert h100 is not None
    assert await cli.offers(h100) == ()


async def test_nobody_has_a_box_is_null_and_means_none(cli, brev):
    assert '"workspaces": null' in run_fake(brev, "ls", "--json", stdin="").stdout
    assert await cli.instances() == ()


@pytest.mark.parametrize(
    ("word", "status", "bills"),
    [
        ("RUNNING", BoxStatus.RUNNING, True),
        ("UNHEALTHY", BoxStatus.RUNNING, True),
        ("STOPPED", BoxStatus.STOPPED, False),
        ("HIBERNATING-SOON", BoxStatus.PENDING, True),
        ("DELETING", BoxStatus.DELETING, True),
    ],
)
async def test_status_words_and_what_they_bill(cli, brev, word, status, bills):
    brev.add_box("box", word)
    (found,) = await cli.instances()
    assert (found.status, found.status.bills, found.word) == (status, bills, word)


async def test_it_never_meets_a_terminal_or_an_open_pipe(cli, brev):
    await cli.offers(DEFAULT_SKU)
    await cli.instances()
    await cli.version()
    assert {(call["stdin"], call["terminal"]) for call in brev.calls} == {("null", False)}


async def test_signed_out_is_one_line_with_the_operators_own_next_step(cli, brev):
    brev.set(signed_in=False)
    with pytest.raises(NotSignedInError) as caught:
        await cli.instances()
    assert "Run `brev login`" in str(caught.value)
    assert not (brev.folder / "asked_to_log_in").exists()


async def test_none_installed_names_the_way_without_a_box(tmp_path):
    cli = BrevCli(str(tmp_path / "brev"))
    assert not cli.is_installed
    with pytest.raises(BrevMissingError, match="SSH host of your own"):
        await cli.instances()


async def test_a_command_that_hangs_is_ended_with_its_children(cli, brev, monkeypatch):
    brev.set(hangs=["ls"])
    monkeypatch.setattr(brev_commands, "OTHER_SECONDS", 0.5)
    with pytest.raises(RemoteError, match="no answer within"):
        await cli.instances()
    with pytest.raises(ProcessLookupError):
        os.kill(brev.calls[-1]["pid"], 0)


@pytest.mark.parametrize("ticks", range(12))
@pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
def test_cancelled_at_any_moment_it_leaves_no_child_behind(cli, brev, children, ticks, again):
    """Whatever a screen or the end of the app interrupts, and the loop closed right after it."""
    brev.set(hangs=["ls"])

    async def asked():
        asking = asyncio.create_task(cli.instances())
        for _ in range(ticks):
            await asyncio.sleep(0.001 if ticks > 8 else 0)
        asking.cancel()
        if again:
            await asyncio.sleep(0)
            asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking

    asyncio.run(asked())
    assert none_is_left(children)
    assert not any(pipe for child in children for pipe in (child.stdout, child.stderr) if not pipe.closed)


async def test_the_failure_is_the_last_line_it_said(cli, brev):
    brev.set(fails={"ls": "rpc error: \x1b[31mdeadline exceeded"})
    with pytest.raises(RemoteError) as caught:
        await cli.instances()
    assert "rpc error: ␛[31mdeadline exceeded" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "answer",
    ["", "A new version is out!\n{}", "{}", '{"workspaces": 3}', '{"workspaces": [{"name": 1}]}', "[]"],
)
async def test_an_undocumented_list_is_an_error_not_none_billing(cli, brev, answer):
    brev.set(broken={"ls": answer})
    with pytest.raises(RemoteError, match="something else than documented"):
        await cli.instances()


def test_offers_without_type_or_price_or_room_are_left_out():
    entries = [
        L40S,
        {**L40S, "type": ""},
        {**L40S, "price_per_hour": 0},
        {**L40S, "price_per_hour": "1.06"},
        {**L40S, "price_per_hour": True},
        {**L40S, "disk_min_gb": 10, "disk_max_gb": 100},
        {**L40S, "type": "a\x1b[2Jb"},
    ]
    assert [offer.type for offer in read_offers(json.dumps(entries), 200, 0.0)] == [L40S["type"]]


@settings(max_examples=60, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=8),
        lambda deep: (
            st.lists(deep, max_size=3)
            | st.dictionaries(st.sampled_from(["workspaces", "name", "type"]), deep)
        ),
        max_leaves=8,
    )
)
def test_any_json_is_read_or_refused(value):
    text = json.dumps(value)
    for read in (read_instances, lambda found: read_offers(found, 200, 0.0)):
        with contextlib.suppress(RemoteError):
            assert isinstance(read(text), tuple)


# --- old versions ----------------------------------------------------------------------------------


async def test_the_published_form_is_used_only_where_the_cli_still_takes_it(cli, brev):
    brev.set(flavour="published")
    (offer,) = await cli.offers(DEFAULT_SKU)
    assert offer.source is PriceSource.PUBLISHED
    await cli.create(typed(NAME, offer), NAME, offer)
    assert brev.ran("create") == [["create", NAME, "--gpu", "l40s:1", "--disk", "200gi", "--detached"]]
    assert brev.calls[-1]["stdin"] == "null"
    await cli.refresh()
    assert brev.ran("ssh-config") == [["ssh-config"]]


async def test_a_cli_that_cannot_list_is_refused(cli, brev):
    brev.set(flavour="ancient")
    with pytest.raises(RemoteError, match=r"no `ls --json`.*Update"):
        await cli.offers(DEFAULT_SKU)


async def test_its_abilities_are_asked_for_once(cli, brev):
    await asyncio.gather(cli.offers(DEFAULT_SKU))
    await cli.offers(DEFAULT_SKU)
    assert sum(call["argv"] == ["create", "--help"] for call in brev.calls) == 1


# --- spending ---------------------------------------------------------------------------------------


async def test_create_pins_the_one_offer(cli, brev):
    offer = (await cli.offers(DEFAULT_SKU))[1]
    await cli.create(typed(NAME, offer), NAME, offer)
    assert brev.ran("create") == [["create", NAME, "--detached", "--jupyter=false"]]
    assert [(box["type"], box["disk"]) for box in brev.boxes] == [(FLEXIBLE["type"], 200)]


async def test_a_type_that_has_none_left_is_not_replaced_by_a_dearer_one(cli, brev):
    offer = await best_offer(cli)
    brev.set(no_capacity=[offer.type])
    with pytest.raises(UnclearError, match=r"could only create 0/1.*choose another offer"):
        await cli.create(typed(NAME, offer), NAME, offer)
    assert brev.boxes == []


async def test_create_without_consent_starts_nothing(cli, brev):
    offer = await best_offer(cli)
    dear = replace(offer, price_per_hour=offer.price_per_hour + 1)
    for consent in (None, "YES", True, object(), typed("other", offer), typed(NAME, dear)):
        with pytest.raises(ConsentError, match="no GPU instance was created"):
            await cli.create(consent, NAME, offer)
    assert brev.ran("create") == []


async def test_a_consent_works_once(cli, brev):
    offer = await best_offer(cli)
    consent = typed(NAME, offer)
    await cli.create(consent, NAME, offer)
    with pytest.raises(ConsentError):
        await cli.create(consent, NAME, offer)
    assert len(brev.ran("create")) == 1


async def test_starting_bills_again_and_needs_its_own_consent(cli, brev):
    offer = await best_offer(cli)
    brev.add_box(NAME, "STOPPED")
    with pytest.raises(ConsentError):
        await cli.start(typed(NAME, offer), NAME, offer)
    await cli.start(typed(NAME, offer, action="start"), NAME, offer)
    assert brev.ran("start") == [["start", NAME]]


async def test_stop_of_a_type_that_cannot_be_stopped_says_what_ends_billing(cli, brev):
    brev.add_box(NAME, stoppable=False)
    with pytest.raises(RemoteError, match=r"still bills.*Only deleting"):
        await cli.stop(NAME)
    await cli.delete(NAME)
    assert brev.boxes[0]["status"] == "DELETING"


async def test_consent_in_the_environment_or_settings_is_none(cli, brev, monkeypatch):
    offer = await best_offer(cli)
    for key in ("CLINASR_YES", "BREV_YES", "YES", "CI", "ASSUME_YES", "DEBIAN_FRONTEND"):
        monkeypatch.setitem(os.environ, key, "YES")
    word = TypedWord(NAME, offer, door="dialog")
    word.shown()
    assert word.enter() is None
    assert brev.boxes == []
