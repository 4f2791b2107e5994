from pipeline.detect.signals.label_counts import OTHER_LABEL, LabelCounts


def test_labels_beyond_the_limit_are_counted_together():
    mix = LabelCounts(labels_max=2)
    for label in ("a", "b", "c", "d", "a"):
        mix.add([label])
    assert mix.counts == {"a": 2, "b": 1, OTHER_LABEL: 2}


def test_memory_does_not_grow_with_distinct_labels():
    mix = LabelCounts(labels_max=5)
    mix.add(str(index) for index in range(10_000))
    assert len(mix.counts) == 6
    assert sum(mix.counts.values()) == 10_000


def test_shares_come_with_the_most_common_first():
    assert LabelCounts(3, {"a": 1, "b": 3}).shares() == {"b": 0.75, "a": 0.25}
    assert LabelCounts(3).shares() == {}
