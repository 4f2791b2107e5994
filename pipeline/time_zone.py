"""Names of time zones in settings."""

from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pipeline.wording import did_you_mean


def check_time_zone(name: str) -> str:
    """Return the name of a time zone.

    Raises
    ------
    ValueError
        If the IANA time zone database does not contain the name.
    """
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(f'unknown time zone "{name}"; {did_you_mean(name, available_timezones())}') from None
    return name
