import sys

import numpy as np

from load.bench.footprint import measure_stream_bytes
from load.bench.footprint.object_bytes import exclusive_bytes

END_MS = 1_790_000_000_000


class Slotted:
    __slots__ = ("content", "missing")

    def __init__(self, content):
        self.content = content


class Plain:
    def __init__(self, content):
        self.content = content


def test_arrays_and_the_arrays_that_views_refer_to_count_once():
    array = np.zeros(1000)
    assert 8000 <= exclusive_bytes(array) < 8200
    assert 8000 <= exclusive_bytes([array, array[:5], array.T]) < 8900


def test_attributes_items_and_keys_count():
    text = "x" * 10_000
    for holder in (Slotted(text), Plain(text), {1: text}, {text: 1}, [text], (text,), {text}, frozenset({text})):
        assert exclusive_bytes(holder) > sys.getsizeof(text)


def test_what_another_object_refers_to_is_shared():
    shared, own = np.zeros(5000), np.zeros(300)
    assert 2400 <= exclusive_bytes(Plain([shared, own]), Plain(shared)) < 4000


def test_objects_that_refer_to_each_other_are_counted():
    first, second = Plain(None), Plain(np.zeros(500))
    first.content, second.other = second, first
    assert exclusive_bytes(first) == exclusive_bytes(second) > 4000


def test_a_stream_that_is_put_away_takes_a_fraction_of_a_ready_stream():
    figures = measure_stream_bytes(1, END_MS, learning_s=600.0)
    assert figures["packed_stream_kb"] < 44.0 < figures["ready_stream_kb"] < 275.0
    assert 50.0 < figures["learning_stream_kb"] < 700.0
