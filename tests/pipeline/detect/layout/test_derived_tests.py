import numpy as np
import pytest

from pipeline.detect.layout import DerivedTests
from pipeline.detect.one_sided_tests import derive_tests
from pipeline.detect.settings import DetectSettings
from tests.pipeline.detect.worlds import learned, normal_world

REPLAY = DetectSettings(ready_after_s=600)


@pytest.fixture(scope="module")
def tests():
    return derive_tests(learned(normal_world(1, 30_000), REPLAY), REPLAY)[0]


def fields(test):
    return {name: getattr(test, name) for name in test.__slots__ if name != "stakes"}


def test_each_test_is_built_with_equal_fields(tests):
    derived = DerivedTests(tests)
    assert len(derived) == len(tests) > 20
    assert [fields(test) for test in derived] == [fields(test) for test in tests]
    for index, test in enumerate(tests):
        np.testing.assert_array_equal(derived[index].stakes, test.stakes)
    assert [fields(test) for test in derived[-3:]] == [fields(test) for test in tests[-3:]]
    assert derived.keys == [test.key for test in tests]
    assert derived.indexes_by_key == {test.key: index for index, test in enumerate(tests)}
    assert derived.indexes_by_crossing_key == {test.crossing_key: index for index, test in enumerate(tests)}


def test_what_is_tested_is_in_memory_once(tests):
    first, second = DerivedTests(tests), DerivedTests(tests)
    assert first._changes is second._changes
    assert first.indexes_by_key is second.indexes_by_key


def test_no_tests_are_a_table_without_rows():
    assert list(DerivedTests([])) == []
