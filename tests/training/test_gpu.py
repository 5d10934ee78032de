"""nvidia-smi's CSV: the recorded sample, rows of a follower, several GPUs, and what is no row."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinasr_tui.training.gpu import (
    MAX_SAMPLES,
    GpuReader,
    GpuSample,
    idle_seconds,
    usual_utilisation,
)
from clinasr_tui.training.layout import GPU_LIVE
from clinasr_tui.training.run_reader import RunReader, read_run_folder

RECORDED = Path(__file__).parents[1] / "data" / "recordings" / "nvidia-smi.csv"


def row(
    second=0, util="50", index=0, name="NVIDIA H200", memory="4198", total="143771", temp="38", power="120.5"
):
    minute, second = divmod(second, 60)
    hour, minute = divmod(minute, 60)
    when = f"2026/11/22 {10 + hour:02}:{minute:02}:{second:02}.125"
    return f"{index}, {name}, {util}, {memory}, {total}, {temp}, {power}, {when}\n"


def read(text):
    reader = GpuReader()
    reader.feed(text.encode())
    return reader.tracks


def test_the_recorded_sample():
    (gpu,) = read(RECORDED.read_text())
    assert (gpu.index, gpu.name, gpu.memory_total) == (0, "NVIDIA H200", 143771.0)
    (sample,) = gpu.samples
    assert sample[1:] == (1.0, 141821.0, 39.0, 123.78)


def test_rows_a_follower_brought_from_a_real_gpu():
    (gpu,) = read(RECORDED.with_name("nvidia-smi.live.csv").read_text())
    assert [sample.utilisation for sample in gpu.samples] == [0.0] * 6 + [98.0] * 6
    assert (gpu.name, gpu.samples[-1].power) == ("NVIDIA H200", 690.89)
    assert gpu.samples[-1].at - gpu.samples[0].at == pytest.approx(22, abs=0.1)
    assert idle_seconds([gpu]) == 0.0


def test_rows_of_a_follower_by_gpu():
    tracks = read("".join(row(2 * n, str(n), index) for n in range(3) for index in (1, 0)))
    assert [gpu.index for gpu in tracks] == [0, 1]
    assert [sample.utilisation for sample in tracks[1].samples] == [0.0, 1.0, 2.0]
    assert tracks[0].samples[1].at - tracks[0].samples[0].at == 2.0


@pytest.mark.parametrize(
    "missing", ["[N/A]", "N/A", "[Not Supported]", "[Unknown Error]", "[GPU is lost]", ""]
)
def test_what_is_not_known_is_none(missing):
    (gpu,) = read(row(util=missing, memory=missing, total=missing, temp=missing, power=missing))
    assert gpu.samples[0][1:] == (None, None, None, None)
    assert gpu.memory_total is None


@pytest.mark.parametrize(
    "line",
    [
        "NVIDIA-SMI has failed, because, it, could not, communicate, with the, NVIDIA, driver.\n",
        "No devices were found\n",
        row()[:40] + "\n",
        row()[:-3] + "\n",
        row(index="x"),
        "\n",
        "a" * 10_000 + "\n",
    ],
)
def test_what_is_no_row_is_passed_over(line):
    (gpu,) = read(row(0) + line + row(2))
    assert len(gpu.samples) == 2


def test_a_row_cut_by_a_lost_connection_is_dropped_not_misread():
    whole = row(2, power="123.78").rstrip()
    for cut in range(1, len(whole)):
        tracks = read(row(0) + whole[:cut] + "\n" + row(4))
        assert [sample.power for sample in tracks[0].samples] == [120.5, 120.5], whole[:cut]


def test_a_name_with_a_comma_and_impossible_figures():
    (gpu,) = read(row(name="Odd, Inc. GPU", util="250", temp="9999", power="1e5"))
    assert gpu.name == "Odd, Inc. GPU"
    assert gpu.samples[0][1:] == (None, 4198.0, None, None)


def test_gpus_without_an_index_are_told_by_their_moment():
    head = "timestamp, name, utilization.gpu [%], power.draw [W]\n"
    body = "".join(
        f"2026/11/22 17:19:{second:02}.{ms}, A100, {util} %, 60.1 W\n"
        for second, ms, util in [(1, "100", 10), (1, "104", 20), (3, "100", 30), (3, "105", 40)]
    )
    tracks = read(head + body)
    assert [[sample.utilisation for sample in gpu.samples] for gpu in tracks] == [[10, 30], [20, 40]]
    by_bus = "timestamp,gpu_bus_id,utilization.gpu [%]\n" + "".join(
        f"2026/11/22 17:19:0{n}.000, 0000:0{n % 2}:00.0, {n} %\n" for n in range(4)
    )
    assert [len(gpu.samples) for gpu in read(by_bus)] == [2, 2]


def test_samples_are_bounded():
    (gpu,) = read("".join(row(n) for n in range(MAX_SAMPLES + 10)))
    assert (len(gpu.samples), gpu.count) == (MAX_SAMPLES, MAX_SAMPLES + 10)
    assert len(read("".join(row(index=n) for n in range(100)))) == 64


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 60), max_size=30), st.binary(max_size=40))
def test_slicing_does_not_matter_and_nothing_breaks_it(cuts, junk):
    data = (row(0) + row(2, index=1)).encode() + junk + (row(4) + RECORDED.read_text()).encode()
    whole, sliced = GpuReader(), GpuReader()
    whole.feed(data)
    at = 0
    for size in cuts:
        sliced.feed(data[at : at + size])
        at += size
    sliced.feed(data[at:])
    assert sliced.tracks == whole.tracks


def samples(utils, apart=2):
    return "".join(row(apart * n, str(util)) for n, util in enumerate(utils))


@pytest.mark.parametrize(
    ("utils", "idle"),
    [
        ([90, 0, 0, 0], 4.0),
        ([0, 0, 0], 4.0),
        ([0, 0, 90], 0.0),
        ([90, 0, 3, 4, 0], 6.0),
        (["[N/A]", "[N/A]"], None),
        ([0, "[N/A]", 0, 0], 2.0),
        ([], None),
    ],
)
def test_idle_since_the_last_work(utils, idle):
    assert idle_seconds(read(samples(utils))) == idle


def test_one_working_gpu_is_work_and_an_unknown_one_makes_it_unknown():
    both = samples([0, 0, 0]) + row(4, "80", 1)
    assert idle_seconds(read(both)) == 0.0
    assert idle_seconds(read(samples([0, 0, 0]) + row(4, "[N/A]", 1))) is None


def test_idle_does_not_reach_over_a_gap():
    assert idle_seconds(read(row(0, "0") + row(3600, "0") + row(3602, "0"))) == 2.0


def test_usual_utilisation_needs_the_whole_time():
    assert usual_utilisation(read(samples([10, 20, 90] * 110)), 600) == 20.0
    assert usual_utilisation(read(samples([10] * 100)), 600) is None
    gap = "".join(row(n * 2, "10") for n in range(10)) + "".join(row(400 + n * 2, "10") for n in range(110))
    assert usual_utilisation(read(gap), 600) is None


def test_the_fuller_file_of_a_run_counts_and_says_nothing_of_the_run(tmp_path):
    (tmp_path / "gpu.csv").write_text(samples([1, 2, 3]))
    (tmp_path / "nvidia-smi.csv").write_bytes(RECORDED.read_bytes())
    reader = read_run_folder(tmp_path)
    assert [sample.utilisation for sample in reader.gpu[0].samples] == [1.0, 2.0, 3.0]
    assert reader.snapshot().outcome == "unknown"
    assert reader.snapshot().last_activity is None


def test_a_follower_s_rows_are_no_news_of_the_run():
    reader = RunReader()
    reader.feed("console.log", b"GPU available: True\n", at=100.0)
    assert reader.feed(GPU_LIVE, row().encode(), at=5000.0) == []
    assert reader.snapshot(5000.0).last_activity == 100.0
    assert reader.gpu[0].samples[0] == GpuSample(reader.gpu[0].samples[0].at, 50.0, 4198.0, 38.0, 120.5)
    reader.reset(GPU_LIVE)
    assert reader.gpu == ()
