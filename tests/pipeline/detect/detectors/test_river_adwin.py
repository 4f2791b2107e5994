import sys
from importlib.metadata import version
from types import ModuleType, SimpleNamespace

import pytest

from pipeline.detect.detectors.river_adwin import KNOWN_VERSIONS, dump_window, import_core, load_window, new_window


def test_the_installed_river_is_known_to_work():
    assert version("river") in KNOWN_VERSIONS


def test_a_river_without_the_core_is_rejected_with_its_version_and_the_known_ones(monkeypatch):
    monkeypatch.setitem(sys.modules, "river._river_rust.drift", ModuleType("drift"))
    with pytest.raises(ImportError, match="AdaptiveWindowing") as error:
        import_core()
    assert version("river") in str(error.value)
    assert all(f"river=={known}" in str(error.value) for known in KNOWN_VERSIONS[-1:])


def test_a_river_without_the_module_is_rejected(monkeypatch):
    monkeypatch.setitem(sys.modules, "river._river_rust.drift", None)
    with pytest.raises(ImportError, match="Versions known to work"):
        import_core()


@pytest.mark.parametrize("missing", ["update", "get_total", "get_width", "__setstate__"])
def test_a_core_that_lacks_a_method_is_rejected_by_its_name(monkeypatch, missing):
    methods = dict.fromkeys({"update", "get_total", "get_width", "__setstate__"} - {missing})
    core = type("AdaptiveWindowing", (), methods)
    monkeypatch.setitem(sys.modules, "river._river_rust.drift", SimpleNamespace(AdaptiveWindowing=core))
    with pytest.raises(ImportError, match=f"lacks {missing},"):
        import_core()


def test_a_window_is_restored_from_its_bytes():
    window = new_window(1e-5)
    for number in range(200):
        window.update(0.2 if number < 150 else 0.6)
    restored = load_window(dump_window(window), 1e-5)
    assert (restored.get_total(), restored.get_width()) == (window.get_total(), window.get_width())
    assert dump_window(restored) == dump_window(window)


def test_bytes_that_river_cannot_read_are_rejected():
    with pytest.raises(ValueError, match="river cannot read"):
        load_window(b"\x00", 1e-5)
