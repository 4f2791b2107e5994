from pipeline.detect.signals.label_counts import LabelCounts


def test_labels_beyond_the_limit_are_counted_together():
    label_counts = LabelCounts(labels_max=2)
    for label in ("a", "b", "c", "d", "a"):
        label_counts.add([label])
    assert label_counts.counts == {"a": 2, "b": 1, LabelCounts.OTHER: 2}


def test_memory_does_not_grow_with_distinct_labels():
    label_counts = LabelCounts(labels_max=5)
    label_counts.add(str(index) for index in range(10_000))
    assert len(label_counts.counts) == 6
    assert sum(label_counts.counts.values()) == 10_000


def test_shares_list_the_most_common_label_first():
    assert LabelCounts(3, {"a": 1, "b": 3}).shares() == {"b": 0.75, "a": 0.25}
    assert LabelCounts(3).shares() == {}
