import pytest
from pydantic import ValidationError

from pipeline.detect.settings import DetectSettings


def test_every_setting_has_a_description():
    for name, field in DetectSettings.model_fields.items():
        assert field.description, name


def test_an_unknown_name_is_an_error():
    with pytest.raises(ValidationError, match="readyafter"):
        DetectSettings(readyafter=3)


@pytest.mark.parametrize(
    "wrong", [{"page_rate_odds": 0.9}, {"slices": 0}, {"false_pages_per_year": 0}, {"band_rank_max": 0.9}]
)
def test_a_value_out_of_its_limits_is_an_error(wrong):
    with pytest.raises(ValidationError):
        DetectSettings(**wrong)


def test_an_unknown_time_zone_is_an_error_with_a_similar_name():
    with pytest.raises(ValidationError, match='did you mean "Australia/Sydney"'):
        DetectSettings(time_zone="Australia/Sidney")
