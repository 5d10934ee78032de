"""The console parser: bars folded, glued messages found, levels, facts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.training import console
from clinasr_tui.training.console import MAX_PIECE, ConsoleParser
from clinasr_tui.training.facts import MAX_SAMPLES
from clinasr_tui.training.snapshot import Level, Phase, Sample

STAMP = b"2026-11-22 17:03:05 nemo_logging:393]"
BAR = "Epoch 1:  26%|██▌       | 13/50 [00:02<00:08,  4.56it/s, v_num=3-04, timing in s=0.216]".encode()


def parse(data, cuts=()):
    parser = ConsoleParser("console.log")
    lines, last = [], 0
    for cut in [*sorted(cuts), len(data)]:
        lines += parser.feed(data[last:cut])
        last = cut
    return parser, lines + parser.close()


def shown(data):
    return [(line.level, data[line.offset : line.offset + line.length]) for line in parse(data)[1]]


def texts(data):
    return [text for _, text in shown(data)]


def test_bars_are_folded_and_the_last_one_counts():
    parser, lines = parse(b"\r" + BAR + b"\r" + BAR.replace(b"13/50", b"14/50") + b"\r")
    assert lines == []
    assert parser.facts.position == (1, 14)
    assert parser.facts.steps_done == 64
    assert parser.facts.seconds_per_batch == pytest.approx(1 / 4.56)
    assert parser.facts.phase is Phase.TRAINING


def test_messages_glued_to_a_bar_are_found_where_they_begin():
    nemo = b"[NeMo W " + STAMP + b" glued"
    reached = (
        b"Epoch 1, global step 100: 'val_wer' reached 0.03472 (best 0.03472), saving model to 'x' as top 5"
    )
    data = (
        b"\r" + BAR + nemo + b"\n\r" + BAR + reached + b"\n\r" + BAR + b"Traceback (most recent call last):\n"
    )
    assert shown(data) == [
        (Level.WARNING, nemo),
        (Level.INFO, reached),
        (Level.ERROR, b"Traceback (most recent call last):"),
    ]
    assert parse(data)[0].facts.validations == [(99, 0.03472)]


def test_two_messages_glued_together():
    first, second = b"[NeMo I " + STAMP + b" one", b"[NeMo E " + STAMP + b" two"
    assert shown(b"text" + first + second + b"\n") == [
        (Level.INFO, b"text"),
        (Level.INFO, first),
        (Level.ERROR, second),
    ]


def test_validation_bars_and_cursor_movements_vanish():
    data = (
        b"\rValidation: |          | 0/? [00:00<?, ?it/s]\x1b[A\n\n"
        b"\rValidation DataLoader 0:  25%|\xe2\x96\x88       | 1/4 [00:00<00:00,  5.60it/s]\x1b[A"
        b"[NeMo I " + STAMP + b" \n    \n"
        b"\r                                  \x1b[A\n"
    )
    parser, lines = parse(data)
    assert lines == []
    assert parser.facts.phase is Phase.VALIDATING


def test_first_bar_of_an_epoch_with_the_old_number_is_not_believed():
    new = BAR.replace(b"13/50", b"50/50")
    parser, _ = parse(b"\r" + new + b"\r" + BAR.replace(b"13/50", b"0/50") + b"\r")
    assert parser.facts.position == (1, 50)
    parser, _ = parse(
        b"\r" + new + b"\r" + BAR.replace(b"13/50", b"0/50").replace(b"Epoch 1", b"Epoch 2") + b"\r"
    )
    assert parser.facts.position == (2, 0)


def test_model_table_is_no_bar():
    table = (
        b"  | Name | Type | Params | Mode \n0 | preprocessor | AudioToMel | 0      | train\n"
        b"6.0 M     Trainable params\n"
    )
    assert len(texts(table)) == 3


def test_download_bars_of_others_are_folded():
    data = (
        b"\rmodel.nemo: 100%|\xe2\x96\x88\xe2\x96\x88| 2.47G/2.47G [00:10<00:00, 240MB/s]"
        b"\rFetching: 12it [00:01,  9.8it/s]\r"
    )
    assert texts(data) == []


def test_continuation_lines_have_their_messages_level():
    data = (
        b"[NeMo W " + STAMP + b" first\n      second\n    \n[NeMo I " + STAMP + b" third\n    fourth\nfifth\n"
    )
    assert [level for level, _ in shown(data)] == [
        Level.WARNING,
        Level.WARNING,
        Level.INFO,
        Level.INFO,
        Level.INFO,
    ]


def test_traceback_and_its_last_line():
    data = (
        b"Error executing job with overrides: ['a']\nTraceback (most recent call last):\n"
        b'  File "x.py", line 1, in main\n    fit()\nRuntimeError: it broke\nsecond line of it\n\n'
        b"Set the environment variable HYDRA_FULL_ERROR=1 for a complete stack trace.\nreal\t1m\n"
    )
    parser, _ = parse(data)
    assert [level for level, _ in shown(data)] == [Level.ERROR] * 6 + [Level.INFO] * 2
    assert parser.facts.exception == "RuntimeError: it broke"
    assert parser.facts.fatal
    assert parser.facts.crashed


def test_training_that_goes_on_takes_an_exception_back():
    crash = b"Traceback (most recent call last):\n  File\nValueError: once\n"
    assert parse(b"\r" + BAR + b"\n" + crash + b"\r" + BAR + b"\r")[0].facts.crashed
    on = BAR.replace(b"13/50", b"14/50")
    assert not parse(b"\r" + BAR + b"\n" + crash + b"\r" + on + b"\r")[0].facts.crashed


def test_exception_in_a_thread_ends_nothing():
    data = b"Exception in thread Thread-1:\nTraceback (most recent call last):\n  File\nOSError: closed\n"
    parser, lines = parse(data)
    assert not parser.facts.crashed
    assert {line.level for line in lines} == {Level.ERROR}


def test_piece_without_end_is_cut():
    data = b"x" * (2 * MAX_PIECE + 5) + b"\n"
    for cuts in ((), (1, MAX_PIECE, MAX_PIECE + 1), range(0, len(data), 70_001)):
        lines = parse(data, cuts)[1]
        assert [(line.offset, line.length) for line in lines] == [
            (0, MAX_PIECE),
            (MAX_PIECE, MAX_PIECE),
            (2 * MAX_PIECE, 5),
        ]


def test_samples_of_sft3(recordings):
    parser, _ = parse((recordings / "sft3" / "console.log").read_bytes())
    facts = parser.facts
    assert facts.sample_count == len(facts.samples) == 162
    assert facts.samples[0] == Sample(
        0,
        "continue vancomycin once daily with food and recheck in two weeks",
        "continue banking once daily with food and recheck in two weeks",
    )
    assert facts.samples[1].step == 1
    training = [one.step for one in facts.samples if one.step not in (49, 99, 149)]
    assert training == [step for step in range(150) if step not in (49, 99, 149)]
    # Four validation batches after each epoch, and that epoch's last training step.
    assert [sum(one.step == step for one in facts.samples) for step in (49, 99, 149)] == [5, 5, 5]


def test_facts_of_sft3(recordings):
    facts = parse((recordings / "sft3" / "console.log").read_bytes())[0].facts
    assert (facts.max_epochs, facts.max_steps, facts.log_every, facts.accumulate) == (3, 150, 1, 1)
    assert (facts.precision, facts.tdt, facts.finished) == ("bf16-mixed", True, True)
    assert [(one.files, one.hours, one.filtered) for one in facts.datasets] == [(200, 0.19, 0), (50, 0.05, 0)]
    assert facts.validations == [(49, 0.08333), (99, 0.03472), (149, 0.03704)]
    assert facts.position == (2, 50)
    assert facts.steps_done == 150
    assert not facts.crashed
    assert facts.evidence == {}
    assert facts.unknown_run == 0


def test_lines_of_sft3(recordings):
    data = (recordings / "sft3" / "console.log").read_bytes()
    everything = shown(data)
    whole = [text for _, text in everything]
    assert not [
        text for text in whole if b"it/s" in text or b"\r" in text or b"\n" in text or not text.strip()
    ]
    assert sum(text.startswith(b"[NeMo ") for text in whole) == data.count(b"[NeMo ") - data.count(b"393] \n")
    assert sum(b"WER predicted:" in text for text in whole) == 162
    assert sum(text.startswith(b"Epoch ") for text in whole) == 3
    assert [text for level, text in everything if level is Level.ERROR] == []
    warnings = [text for level, text in everything if level is Level.WARNING]
    assert len([text for text in warnings if text.startswith(b"[NeMo W")]) == data.count(b"[NeMo W")


def test_restart_in_the_same_console_forgets_the_failure():
    start = b"[NeMo I " + STAMP + b" Hydra config: name: x\n    trainer:\n      max_epochs: 4\n"
    crash = (
        b"GPU available: True\nError executing job with overrides: []\n"
        b"Traceback (most recent call last):\n  a\nOSError: CUDA out of memory\n"
    )
    first = parse(start + crash)[0].facts
    assert (first.starts, first.fatal, list(first.evidence)) == (1, True, ["oom"])
    second = parse(start + crash + start + b"GPU available: True\n")[0].facts
    assert (second.starts, second.fatal, second.evidence, second.max_epochs) == (2, False, {}, 4)
    # stderr alone has only the second of the two marks.
    alone = parse(crash + b"GPU available: True\n")[0].facts
    assert (alone.starts, alone.crashed) == (2, False)


def test_phases_in_order():
    parser = ConsoleParser("console.log")
    seen = []
    for piece in (
        b"",
        b"Unable to find image 'nvcr.io/nvidia/nemo:25.11.01' locally\n",
        b"[NeMo I " + STAMP + b" Hydra config: name: x\n",
        b"[NeMo I " + STAMP + b" Sleeping for at least 60 seconds to wait for model download to finish.\n",
        b"[NeMo I " + STAMP + b" PADDING: 0\n",
        b"\rTraining:   0%|          | 0/50 [00:00<?, ?it/s]\r",
        b"\rSanity Checking DataLoader 0:   0%|          | 0/4 [00:00<?, ?it/s]\r",
        b"\r" + BAR + b"\r",
        b"\n[NeMo I " + STAMP + b" Checkpoint save for step 100 started at 1795367019.8.\n",
    ):
        parser.feed(piece)
        seen.append(parser.facts.phase)
    assert seen == [
        Phase.WAITING,
        Phase.PULLING,
        Phase.LOADING,
        Phase.SLEEPING,
        Phase.LOADING,
        Phase.TRAINING,
        Phase.VALIDATING,
        Phase.TRAINING,
        Phase.SAVING,
    ]


def test_gradient_accumulation_counts_optimizer_steps():
    config = b"[NeMo I " + STAMP + b" Hydra config: name: x\n    trainer:\n      accumulate_grad_batches: 2\n"
    assert parse(config + b"\r" + BAR + b"\r")[0].facts.steps_done == 25 + 7


def test_utf8_cut_anywhere():
    data = (
        "[NeMo I "
        + STAMP.decode()
        + " WER reference:café ⁇\n[NeMo I "
        + STAMP.decode()
        + " WER predicted: ⁇  ⁇ \n"
    ).encode()
    for cut in range(len(data)):
        parser, _ = parse(data, (cut,))
        assert list(parser.facts.samples) == [Sample(None, "café ⁇", "⁇  ⁇")]
        assert parser.facts.unknown_run == 1


@pytest.mark.parametrize(
    "text",
    [
        "Dataset loaded with {n} files totalling 0.05 hours",
        "Dataset loaded with 4 files totalling 0.0.5 hours",
        "{n} files were filtered totalling {n} hours",
        "Scheduler (effective maximum steps = {n})",
        "Checkpoint save for step {n} started",
    ],
)
def test_numbers_beyond_reason_are_passed_over(text):
    huge = "9" * 5000
    said = f"[NeMo I {STAMP.decode()} {text.format(n=huge)}\n"
    others = (
        f"Epoch 0, global step {huge}: 'val_wer' reached 0.1\nEpoch 0, global step 5: 'val_wer' reached 1e\n"
        f"`Trainer.fit` stopped: `max_epochs={huge}` reached.\n"
        f"\rEpoch {huge}:  50%|#  | 1/{huge} [00:02<00:08, {huge}it/s]\r"
    )
    facts = parse((said + others).encode())[0].facts
    assert (facts.datasets, facts.max_steps, facts.max_epochs, facts.validations) == ([], None, None, [])
    assert facts.position == (-1, 0)


fragments = st.sampled_from(
    [
        BAR,
        BAR.replace(b"13/50", b"0/50"),
        BAR.replace(b"Epoch 1", b"Epoch 2"),
        b"\r",
        b"\n",
        b"    ",
        b"\x1b[A",
        b"[NeMo I " + STAMP + b" ",
        b"[NeMo W " + STAMP + b" ",
        b"[NeMo E ",
        b"WER reference:a",
        b"WER predicted:\xe2\x81\x87",
        b"Traceback (most recent call last):",
        b"KeyError: 'x'",
        b"Epoch 0, global step 50: 'val_wer' reached nan",
        b"| 1/2 [",
        b"Validation DataLoader 0:  25%|##   | 1/4 [00:00<00:00,  5.60it/s]",
        b"GPU available: True",
        b"\xff\xfe",
    ]
)


def state(parser):
    facts = parser.facts
    return (
        facts.position,
        facts.phase,
        facts.starts,
        facts.crashed,
        facts.exception,
        str(facts.validations),
    ), list(facts.samples)


@given(st.lists(fragments, max_size=25), st.data())
@settings(max_examples=150, deadline=None)
def test_slices_never_matter(parts, data):
    raw = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=10))
    whole, lines = parse(raw)
    sliced, same = parse(raw, cuts)
    assert same == lines
    assert state(sliced) == state(whole)
    assert all(raw[line.offset : line.offset + line.length].strip() for line in lines)


@given(st.binary(max_size=300), st.lists(st.integers(0, 300), max_size=6))
@settings(max_examples=80, deadline=None)
def test_any_bytes(raw, cuts):
    whole, lines = parse(raw)
    sliced, same = parse(raw, [min(cut, len(raw)) for cut in cuts])
    assert same == lines
    assert state(sliced) == state(whole)


def bulk(monkeypatch, least=1):
    """Survey every block, however small."""
    for name, value in (("BULK_AFTER", 0), ("BULK_LEAST", 0), ("LEAST_STRETCH", least)):
        monkeypatch.setattr(console, name, value)


UNREAD = {"_heard", "_waiting", "_block", "_blocks"}


def told(parser, lines):
    """All that a parser says, and what it would make of what comes next."""
    facts = parser.facts
    said = {name: value for name, value in vars(facts).items() if name not in UNREAD}
    return (
        lines,
        list(facts.samples),
        str(said),
        facts.steps_done,
        facts.crashed,
        (parser._mode, parser._level),
    )


def in_both_ways(raw, cuts=()):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "BULK_AFTER", 1 << 60)
        plain = told(*parse(raw, cuts))
    with pytest.MonkeyPatch.context() as patch:
        bulk(patch)
        return plain, told(*parse(raw, cuts))


def step(epoch, batch, *, of=50, said="there is a history of cellulitis", bar_glued=True):
    """What a training step leaves, as recorded: a bar, a bar with an empty message, a sample."""
    bar = BAR.replace(b"Epoch 1", b"Epoch %d" % epoch).replace(b"13/50", b"%d/%d" % (batch, of))
    nemo = b"[NeMo I " + STAMP + b" "
    return (
        b"\r" + bar + b"\r" + bar * bar_glued + nemo + b"\n    \n" + nemo + b"WER reference:" + said.encode()
        + b"\n" + nemo + b"WER predicted:" + said.upper().encode() + b"\n"
    )  # fmt: skip


usual = st.sampled_from(
    [
        *(step(epoch, batch) for epoch in (0, 1) for batch in (1, 2, 13)),
        step(1, 3, said="⁇"),
        step(1, 3, said="café"),
        step(1, 3, said=""),
        step(1, 4, bar_glued=False),
        BAR + b"\r",
        BAR + b" text\n",
        BAR[:-1] + b"[NeMo I " + STAMP + b"\n",
        BAR + b"[NeMo I " + STAMP + b" one[NeMo I " + STAMP + b" two\n",
        b"[NeMo I " + STAMP + b" \n",
        b"[NeMo I " + STAMP + b"\n",
        b"[NeMo I " + STAMP + b" WER reference:only\n",
        b"[NeMo I " + STAMP + b" WER predicted:only\n",
        b"[NeMo I " + STAMP + b" WER pred\n",
        b"[NeMo I " + STAMP + b"  \t\n",
        b"[NeMo I " + STAMP + b" Hydra config: name: x\n    trainer:\n      accumulate_grad_batches: 2\n",
        b"[NeMo I " + STAMP + b" Checkpoint save for step 50 started\n",
        b"[NeMo W " + STAMP + b" careful\n",
        b"[NeMo W " + STAMP + b" \n",
        b"[NeMo E " + STAMP + b" broken\n",
        b"[NeMo I 2026-11-22 17:03:05 x] WER predicted:other prefix\n",
        b"[NeMo I " + STAMP.replace(b"logg", b"l]gg") + b" WER predicted:x\n",
        b"[NeMo I-" + STAMP + b" WER predicted:x\n",
        b"Validation DataLoader 0:  25%|##   | 1/4 [00:00<00:00,  5.60it/s]\n",
        b"Traceback (most recent call last):\n  File\nKeyError: 'x'\n",
        b"\n",
        b"    \n",
        b"text\n",
    ]
)


@given(st.lists(st.one_of(usual, fragments), max_size=25), st.data())
@settings(max_examples=200, deadline=None)
def test_bulk_reads_as_piece_by_piece(parts, data):
    raw = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=5))
    plain, surveyed = in_both_ways(raw, cuts)
    assert surveyed == plain
    assert surveyed == in_both_ways(raw)[1]


@pytest.mark.parametrize(
    "odd",
    [
        b"[NeMo I " + STAMP.replace(b"logg", b"l]gg") + b" WER predicted:x\n",
        b"[NeMo I-" + STAMP + b" WER predicted:x\n",
        b"[NeMo W " + STAMP + b" one[NeMo E " + STAMP + b" two\n",
        b"[NeMo W " + STAMP + b" WER predicted:x\n",
        b"[NeMo I " + STAMP + b" wer predicted:x\n",
        b"[NeMo I " + STAMP + b" WER predicted\n",
        b"text[NeMo I " + STAMP + b" WER predicted:x\n",
        BAR.replace(b"13/50", b"0/50") + b"[NeMo I " + STAMP + b" WER predicted:x\n",
        BAR[:-1] + b"[NeMo I " + STAMP + b" \n",
        BAR + b"\x1b[A[NeMo I " + STAMP + b" WER predicted:x\n",
    ],
)
def test_what_only_looks_usual_is_looked_at_closely(odd):
    raw = step(0, 5) + b"[NeMo I " + STAMP + b" WER reference:x\n" + odd + step(0, 6)
    plain, surveyed = in_both_ways(raw)
    assert surveyed == plain


@pytest.mark.parametrize("size", [1 << 13, 1 << 16, 1 << 20])
def test_bulk_reads_recorded_consoles_as_piece_by_piece(size, recordings):
    consoles = [*recordings.glob("*/*.log")]
    assert len(consoles) > 4
    for path in consoles:
        raw = path.read_bytes()
        plain, surveyed = in_both_ways(raw, range(size, len(raw), size))
        assert surveyed == plain


def test_more_samples_than_are_kept(monkeypatch):
    """Only the newest are decoded, and no others are kept."""
    raw = b"".join(
        step(epoch, batch, said=f"{epoch} {batch}") for epoch in range(30) for batch in range(1, 50)
    )
    plain, surveyed = in_both_ways(raw, range(0, len(raw), 10_000))
    assert surveyed == plain
    bulk(monkeypatch)
    facts = parse(raw, range(0, len(raw), 10_000))[0].facts
    assert facts.sample_count == 30 * 49
    assert sum(count for count, _ in facts._heard) < MAX_SAMPLES + 49
    assert len(facts.samples) == MAX_SAMPLES
    assert facts.samples[-1] == Sample(29 * 50 + 49, "29 49", "29 49")


@given(
    st.lists(st.sampled_from([b"x" * 50, b" " * 40, BAR, b"[NeMo I " + STAMP + b" y", b"\n"]), max_size=20),
    st.data(),
)
@settings(max_examples=60, deadline=None)
def test_overlong_pieces_are_cut_alike_in_any_slices(parts, data):
    raw = b"".join(parts)
    cuts = data.draw(st.lists(st.integers(0, len(raw)), max_size=5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(console, "MAX_PIECE", 150)
        plain, surveyed = in_both_ways(raw, cuts)
        assert surveyed == plain
        assert surveyed[:3] == in_both_ways(raw)[0][:3]
