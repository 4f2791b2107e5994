"""Track the catalogue and custom signals of one stream, and turn its records into blocks."""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from pipeline.conversion import convert_to_boolean, convert_to_number
from pipeline.detect.admission import Records
from pipeline.detect.fields import FaultReason, find_type_fault
from pipeline.detect.signals import Block, Signal, catalogue
from schemas.record import SUBJECT_LENGTH_MAX

CUSTOM_NAME_LENGTH_MAX = SUBJECT_LENGTH_MAX - len("custom.")
"""Maximum number of characters in a custom name, so ``custom.NAME`` is no longer than other labels."""

COUNTED_FIELDS_MAX = 512
"""Maximum number of fields that are counted by name, because senders choose the names of labels. Other fields are
counted by section."""

LOOK_ALIKES_MAX = 32
"""Maximum number of unknown fields of a subject that are named because they look like a known field."""

LabelColumns = Mapping[str, Sequence[str | None]]

_CUSTOM_TYPES = frozenset({int, float, bool})
_ERROR = catalogue.SIGNAL_INDEX["error"]
_ERROR_FIELDS = frozenset({"infrastructure", "infrastructure.error", "infrastructure.error_type"})
_VERSIONS = "versions."
_FREE_SECTIONS = frozenset({"versions", "segment"})
_SECTIONS = frozenset({*_FREE_SECTIONS, "custom", *(row.section for row in catalogue.SIGNALS)})
_CATEGORY_NAMES = tuple(row.name for row in catalogue.CATEGORIES)
_CATEGORY_FIELDS = {f"{row.section}.{row.field}": row.name for row in catalogue.CATEGORIES if row.section}
_CATALOGUE_FIELDS = {
    f"{row.section}.{row.field}": index
    for index, row in enumerate(catalogue.SIGNALS)
    if row.section != catalogue.DERIVED
}


class SignalColumns:
    """The signal columns of one stream, and the counts of its dropped fields.

    Parameters
    ----------
    custom_signals_max
        Maximum number of custom signals of the stream. Fields of additional signals are dropped and counted.
    dimensions
        Names of segment dimensions. Their labels come from ``segment``, or else from ``versions``, or else from
        ``provider``.

    Attributes
    ----------
    signals
        The signals in the order in which they appeared. Signals that appear in the same block are sorted: first the
        signals of the catalogue in its order, then custom signals in order of appearance. New signals are appended.
    bad_fields
        Number of dropped values, by field and reason.
    converted_fields
        Number of values that were converted from another type, by field.
    look_alikes
        Unknown fields of its records that look like a known field, by their names.
    sources
        For each signal, its column: first the signals of the catalogue, then the custom signals of the stream.
    environment, provider
        The environment and the provider, each from the newest record that contains it.
    """

    def __init__(self, custom_signals_max: int, dimensions: Sequence[str] = ()) -> None:
        self._custom_signals_max = custom_signals_max
        self._label_names = {
            name: (f"segment.{name}", f"versions.{name}", *(("provider",) if name == "provider" else ()))
            for name in dimensions
        }
        self._dimension_fields = {field for fields in self._label_names.values() for field in fields}
        self.signals: list[Signal] = []
        self.sources: list[int] = []
        self._custom_indexes: dict[str, int] = {}
        self._custom_signals: list[Signal] = []
        self._sources_of: tuple[Sequence[Signal], int, NDArray[np.intp]] = ((), 0, np.zeros(0, dtype=np.intp))
        self.bad_fields: Counter[tuple[str, str]] = Counter()
        self.converted_fields: Counter[str] = Counter()
        self.look_alikes: set[str] = set()
        self.environment: str | None = None
        self.provider: str | None = None

    @property
    def custom_signal_count(self) -> int:
        """Number of the custom signals of the stream."""
        return len(self._custom_signals)

    def fill_custom_values(self, records: Records) -> None:
        """Fill in the custom values of the used records, and count the dropped and converted fields.

        Dropped custom values are added to the faults of the records.
        """
        for field, is_converted in records.converted.items():
            count = int(np.count_nonzero(is_converted))
            if count:
                self._count_converted(field, count)
        first_rows = (
            (int(np.argmax(is_sent)), field) for field, is_sent in records.look_alikes.items() if is_sent.any()
        )
        for _, field in sorted(first_rows):
            if len(self.look_alikes) < LOOK_ALIKES_MAX:
                self.look_alikes.add(field)
        if records.custom_fields is None:
            records.custom_values = np.empty((len(records), 0))
        else:
            records.custom_values, faults = self._read_custom_fields(records.custom_fields)
            if faults:
                records.faults = sorted([*records.faults, *faults])
        for _, field, reason in records.faults:
            self._count_bad(field, reason)

    def find_sent(self, records: Records, field: str) -> NDArray[np.bool_]:
        """Return a mask of the records that carry a usable value of a field. All records carry every section.

        The custom values must have been filled in.
        """
        index = _CATALOGUE_FIELDS.get(field)
        if index is not None:
            return ~np.isnan(records.values[:, index])
        if field in _SECTIONS:
            return np.ones(len(records), dtype=np.bool_)
        if field == "sampling_probability" and records.sampling_probabilities is not None:
            return ~np.isnan(records.sampling_probabilities)
        columns: dict[str, Sequence[Any] | None] = {
            "data.embedding": records.embeddings,
            "request_id": records.request_ids,
        }
        column = columns.get(field) or records.labels.get(_CATEGORY_FIELDS.get(field, field))
        if column is not None:
            return np.array([value is not None for value in column], dtype=np.bool_)
        custom = self._custom_indexes.get(field.removeprefix("custom.")) if field.startswith("custom.") else None
        if custom is not None and custom < records.custom_values.shape[1]:
            return ~np.isnan(records.custom_values[:, custom])
        return np.zeros(len(records), dtype=np.bool_)

    def find_absent(self, records: Records, fields: Sequence[str]) -> dict[str, NDArray[np.intp]]:
        """Return the rows of the successful requests that lack a field, for each of the fields that any of them lacks.

        A field that is carried but cannot be used is not absent. The custom values must have been filled in.

        Parameters
        ----------
        fields
            Names of signals or categories, with their sections.
        """
        indexes, others = _split_fields(tuple(fields))
        candidates: Sequence[str] = fields if np.isnan(records.values.take(indexes, axis=1)).any() else others
        labels = {field: records.labels.get(_CATEGORY_FIELDS.get(field, field)) for field in candidates}
        candidates = [field for field in candidates if not labels[field] or None in (labels[field] or ())]
        if not candidates:
            return {}
        is_counted = _find_successful_requests(records)
        absent: dict[str, NDArray[np.intp]] = {}
        for field in candidates:
            is_absent = is_counted & ~self.find_sent(records, field)
            is_absent[[row for row, name, _ in records.faults if name in (field, _section_of(field))]] = False
            if is_absent.any():
                absent[field] = np.flatnonzero(is_absent)
        return absent

    def monitored_field(self, field: str) -> str:
        """Return the name under which a field is monitored, which is its section if senders choose its name."""
        section = _section_of(field)
        is_free = section in _FREE_SECTIONS and field not in self._dimension_fields
        return section if is_free else field

    def build_block(self, records: Records) -> Block:
        """Build a block of at least one record."""
        values = self.add_signals(records)
        missing = Records.WIDTH + len(self._custom_signals) - values.shape[1]
        if missing:
            values = np.concatenate((values, np.full((len(records), missing), np.nan)), axis=1)
        labels = records.labels
        self.update_labels(labels)
        return Block(
            signals=tuple(self.signals),
            values=np.take(values, self.sources, axis=1),
            panes=records.panes,
            times_ms=records.times_ms,
            request_ids=records.request_ids,
            categories={name: list(column) for name, column in find_categories(labels).items()},
            first=records.is_request,
            segments=self.find_segments(labels),
            versions=find_versions(labels),
            is_sampled=_newest(labels.get("sampled")) is not None,
        )

    def add_signals(self, records: Records) -> NDArray[np.float64]:
        """Add the signals that a block carries for the first time. Return all values, shape ``(R, columns)``."""
        values = np.concatenate((records.values, records.custom_values), axis=1)
        carried = np.flatnonzero(~np.isnan(values).all(axis=0)).tolist()
        for source in sorted(set(carried).difference(self.sources)):
            self.sources.append(source)
            is_custom = source >= Records.WIDTH
            self.signals.append(
                self._custom_signals[source - Records.WIDTH] if is_custom else catalogue.SIGNALS[source]
            )
        return values

    def find_sources(self, signals: Sequence[Signal]) -> NDArray[np.intp]:
        """Return the source of each signal, or -1 for a signal that no record can carry. The result is cached."""
        cached_signals, cached_count, sources = self._sources_of
        if cached_signals is not signals or cached_count != len(self._custom_signals):
            indexes = {(signal.name, signal.kind): index for index, signal in enumerate(catalogue.SIGNALS)}
            for index, signal in enumerate(self._custom_signals):
                indexes[signal.name, signal.kind] = Records.WIDTH + index
            sources = np.array([indexes.get((signal.name, signal.kind), -1) for signal in signals], dtype=np.intp)
            self._sources_of = signals, len(self._custom_signals), sources
        return sources

    def update_labels(self, labels: LabelColumns) -> None:
        """Use the environment and the provider of the newest record of a block."""
        self.environment = _newest(labels.get("environment")) or self.environment
        self.provider = _newest(labels.get("provider")) or self.provider

    def find_segments(self, labels: LabelColumns) -> dict[str, Sequence[str | None]]:
        """Return the labels of each segment dimension that a block carries."""
        segments: dict[str, Sequence[str | None]] = {}
        for dimension, names in self._label_names.items():
            for name in names:
                column = labels.get(name)
                if column is not None and _newest(column) is not None:
                    segments[dimension] = column
                    break
        return segments

    def dump(self) -> dict[str, Any]:
        """Return the state for :meth:`load`."""
        return {
            "signals": [signal.name for signal in self.signals],
            "custom": [[name, self._custom_signals[index].kind] for name, index in self._custom_indexes.items()],
            "bad_fields": [[*field_and_reason, count] for field_and_reason, count in sorted(self.bad_fields.items())],
            "converted_fields": sorted(map(list, self.converted_fields.items())),
            "look_alikes": sorted(self.look_alikes),
            "environment": self.environment,
            "provider": self.provider,
        }

    def load(self, state: dict[str, Any]) -> None:
        """Restore the columns. Raises ``KeyError`` if the state contains a signal that is not in the catalogue."""
        for name, kind in state["custom"]:
            self._add_custom_signal(name, kind)
        indexes = catalogue.SIGNAL_INDEX | {
            signal.name: Records.WIDTH + index for index, signal in enumerate(self._custom_signals)
        }
        self.sources = [indexes[name] for name in state["signals"]]
        all_signals = (*catalogue.SIGNALS, *self._custom_signals)
        self.signals = [all_signals[source] for source in self.sources]
        self.bad_fields = Counter({(field, reason): count for field, reason, count in state["bad_fields"]})
        # Checkpoints of earlier versions do not contain the following two.
        self.converted_fields = Counter(dict(state.get("converted_fields", ())))
        self.look_alikes = set(state.get("look_alikes", ()))
        self.environment, self.provider = state["environment"], state["provider"]

    def _read_custom_fields(
        self, custom_fields: Sequence[dict[str, Any] | None]
    ) -> tuple[NDArray[np.float64], list[tuple[int, str, FaultReason]]]:
        """Read the values of custom signals row by row, because the first value of a signal decides its kind."""
        cells: list[tuple[int, int, float]] = []
        faults: list[tuple[int, str, FaultReason]] = []
        for row, content in enumerate(custom_fields):
            for name, sent in (content or {}).items():
                if sent is None:
                    continue
                index = self._custom_indexes.get(name)
                value: Any = sent if type(sent) in _CUSTOM_TYPES else _convert(sent)
                if index is not None and type(value) is not bool and self._custom_signals[index].kind == "rate":
                    value = convert_to_boolean(value)
                reason = self._find_custom_fault(name, value, sent, index)
                if reason is not None:
                    faults.append((row, "custom" if index is None else f"custom.{name}", reason))
                    continue
                if type(value) is not type(sent):
                    self._count_converted(f"custom.{name}", 1)
                if index is None:
                    index = self._add_custom_signal(name, _custom_kind(value))
                cells.append((row, index, value))
        values = np.full((len(custom_fields), len(self._custom_signals)), np.nan)
        if cells:
            rows, indexes, numbers = zip(*cells, strict=True)
            values[rows, indexes] = numbers
        return values, faults

    def _find_custom_fault(self, name: str, value: Any, sent: Any, index: int | None) -> FaultReason | None:
        """Return the fault of a custom field, given its value after conversion and as sent."""
        if type(value) not in _CUSTOM_TYPES:
            return find_type_fault(sent)
        if index is None:
            if not name or len(name) > CUSTOM_NAME_LENGTH_MAX:
                return "bad_name"
            if len(self._custom_signals) >= self._custom_signals_max:
                return "too_many"
        signal = catalogue.custom_signal(name, _custom_kind(value)) if index is None else self._custom_signals[index]
        if signal.kind != _custom_kind(value):
            return find_type_fault(sent)
        return None if catalogue.is_valid_value(signal, value) else "out_of_bounds"

    def _count_bad(self, field: str, reason: str) -> None:
        is_counted = (field, reason) in self.bad_fields or len(self.bad_fields) < COUNTED_FIELDS_MAX
        self.bad_fields[field if is_counted else _section_of(field), reason] += 1

    def _count_converted(self, field: str, count: int) -> None:
        is_counted = field in self.converted_fields or len(self.converted_fields) < COUNTED_FIELDS_MAX
        self.converted_fields[field if is_counted else _section_of(field)] += count

    def _add_custom_signal(self, name: str, kind: Literal["rate", "amount"]) -> int:
        index = self._custom_indexes[name] = len(self._custom_signals)
        self._custom_signals.append(catalogue.custom_signal(name, kind))
        return index


def find_categories(labels: LabelColumns) -> dict[str, Sequence[str | None]]:
    """Return the labels of each category that a block carries."""
    return {
        name: column
        for name in _CATEGORY_NAMES
        if (column := labels.get(name)) is not None and _newest(column) is not None
    }


def find_versions(labels: LabelColumns) -> dict[str, Sequence[str | None]]:
    """Return the labels of each kind of version that a block carries, sorted by kind."""
    return {kind: column for name, kind in _version_names(tuple(labels)) if _newest(column := labels[name]) is not None}


@lru_cache(maxsize=256)
def _version_names(names: tuple[str, ...]) -> list[tuple[str, str]]:
    return [(name, name.removeprefix(_VERSIONS)) for name in sorted(names) if name.startswith(_VERSIONS)]


@lru_cache(maxsize=256)
def _split_fields(fields: tuple[str, ...]) -> tuple[NDArray[np.intp], list[str]]:
    """Return the columns of the fields of the catalogue, and the other fields."""
    columns = [_CATALOGUE_FIELDS[field] for field in fields if field in _CATALOGUE_FIELDS]
    return np.array(columns, dtype=np.intp), [field for field in fields if field not in _CATALOGUE_FIELDS]


def _find_successful_requests(records: Records) -> NDArray[np.bool_]:
    is_successful: NDArray[np.bool_] = records.is_request & (records.values[:, _ERROR] != 1.0)
    # A request whose error cannot be read may have failed.
    is_successful[[row for row, field, _ in records.faults if field in _ERROR_FIELDS]] = False
    error_types = records.labels.get("error_type")
    if error_types:
        is_successful &= np.array([label is None for label in error_types], dtype=np.bool_)
    return is_successful


def _custom_kind(value: float) -> Literal["rate", "amount"]:
    return "rate" if type(value) is bool else "amount"


def _convert(sent: Any) -> float | None:
    """Return the number or boolean that a string represents; None if it represents neither."""
    number = convert_to_number(sent)
    return convert_to_boolean(sent) if number is None else number


def _section_of(field: str) -> str:
    return field.partition(".")[0]


def _newest(labels: Sequence[str | None] | None) -> str | None:
    if labels and labels[-1] is not None:
        return labels[-1]
    return next((label for label in reversed(labels or ()) if label is not None), None)
