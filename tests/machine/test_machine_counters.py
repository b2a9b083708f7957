"""Counters: the arithmetic against made-up answers of the kernel, and what this machine really counts."""

import errno
import mmap
import os
import platform
import struct
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workbench.errors import WorkbenchError
from workbench.machine import CounterReading, counters, hardware_counters, measure, perf
from workbench.machine.perf import EVENTS, Group, available, corrected, open_groups, parse_group

BIG = st.integers(0, 2**64 - 1)


@given(BIG, BIG, st.lists(BIG, max_size=8))
def test_the_answer_of_a_group_is_read_in_order(enabled, running, counts):
    told = struct.pack(f"=QQQ{len(counts)}Q", len(counts), enabled, running, *counts)
    assert parse_group(told) == (enabled, running, counts)


@given(st.integers(0, 2**40), st.integers(1, 2**40), st.integers(1, 2**40))
def test_a_count_is_scaled_to_the_whole_time(count, running, more):
    assert corrected(count, running, running) == count
    scaled = corrected(count, running + more, running)
    assert scaled >= count
    assert scaled == pytest.approx(count * (running + more) / running)


def test_a_counter_that_never_had_its_turn_is_absent_and_not_zero(monkeypatch):
    assert corrected(0, 100, 0) is None
    monkeypatch.setattr(os, "read", lambda descriptor, size: struct.pack("=QQQQQ", 2, 100, 0, 0, 0))
    reading = CounterReading()
    Group(["cycles", "instructions"], [3, 4]).read_into(reading)
    assert reading.quantities == {}
    assert "held the counters" in reading.absent["cycles"]
    with pytest.raises(WorkbenchError, match="instructions: not available here because"):
        reading["instructions"]


def test_multiplexed_counts_say_so(monkeypatch):
    monkeypatch.setattr(os, "read", lambda descriptor, size: struct.pack("=QQQQ", 1, 100, 25, 10))
    reading = CounterReading()
    Group(["cycles"], [3]).read_into(reading)
    assert reading["cycles"].value == 40
    assert reading["cycles"].provenance == "measured"
    assert reading.rows()[0]["note"] == "counted 25% of the time and scaled"


def test_events_of_a_group_follow_the_first_that_opens():
    asked = []

    def opener(event, leader):
        asked.append((event.config, leader))
        if event is EVENTS["cycles"]:
            raise OSError(errno.ENOENT, "No such file")
        return 10 + len(asked)

    absent = {}
    groups = open_groups(["cycles", "instructions", "branch misses", "task clock"], absent, opener)
    assert [group.names for group in groups] == [["instructions", "branch misses"], ["task clock"]]
    assert asked == [(0, -1), (1, -1), (5, 12), (1, -1)]
    assert "does not offer it" in absent["cycles"]


@pytest.mark.parametrize(
    ("code", "says"),
    [(errno.EACCES, "perf_event_paranoid is 4"), (errno.ENODEV, "does not offer"), (errno.EMFILE, "answers")],
)
def test_the_reason_is_a_sentence(tmp_path, monkeypatch, code, says):
    (tmp_path / "paranoid").write_text("4\n")
    monkeypatch.setattr(perf, "PARANOID", tmp_path / "paranoid")

    def opener(event, leader):
        raise OSError(code, os.strerror(code))

    absent = {}
    assert open_groups(["cycles"], absent, opener) == []
    assert absent["cycles"].startswith("not available here because")
    assert says in absent["cycles"]


@pytest.mark.parametrize("system", ["Darwin", "Windows"])
def test_other_systems_say_so_for_every_event(monkeypatch, system):
    monkeypatch.setattr(platform, "system", lambda: system)
    reading = measure(lambda: 7)
    assert reading.result == 7
    assert set(reading.absent) == set(EVENTS)
    assert all(system in reason for reason in reading.absent.values())
    assert not hardware_counters()[0]


def test_every_event_is_counted_or_absent_with_its_reason():
    reading = measure(lambda: np.ones(100_000).sum())
    assert set(reading.quantities) | set(reading.absent) == set(EVENTS)
    assert not set(reading.quantities) & set(reading.absent)
    assert {name for name, reason in available().items() if reason} == set(reading.absent)
    for name, quantity in reading.quantities.items():
        assert name in reading
        assert quantity.provenance == "measured"
        assert 0 < reading.share[name] <= 1
    assert len(str(reading).splitlines()) == len(EVENTS)


def test_the_kernel_counts_what_was_done():
    wanted = ["task clock", "page faults", "context switches"]
    if any(available()[name] for name in wanted):
        pytest.skip(f"this system counts no software events: {available()['page faults']}")
    idle = measure(lambda: time.sleep(0.02), wanted)
    fresh = np.frombuffer(mmap.mmap(-1, 64 * 2**20))  # untouched pages, never those of a freed array
    busy = measure(lambda: fresh.__setitem__(slice(None, None, 512), 1.0), wanted)
    assert idle["context switches"].value >= 1
    assert idle["task clock"].value < 0.02
    assert busy["page faults"].value > idle["page faults"].value
    assert busy["page faults"].value >= 32  # large pages at worst
    assert busy["task clock"].unit == "s"


@pytest.mark.skipif(not hardware_counters()[0], reason="the processor's counters cannot be read here")
def test_the_processor_counts_instructions():
    few = measure(lambda: sum(range(10**4)), ["instructions"])["instructions"].value
    many = measure(lambda: sum(range(10**6)), ["instructions"])["instructions"].value
    assert many > 10 * few


def test_counters_are_given_back_when_the_block_fails():
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    with pytest.raises(ZeroDivisionError), counters() as reading:
        1 / 0  # noqa: B018
    after = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    assert after == before
    assert set(reading.quantities) | set(reading.absent) == set(EVENTS)


def test_unknown_names_are_named():
    with pytest.raises(WorkbenchError, match="no counter is called 'cyles'; there are cycles"):
        measure(lambda: None, ["cyles"])
    with pytest.raises(WorkbenchError, match="was not counted"):
        measure(lambda: None, [])["cycles"]
