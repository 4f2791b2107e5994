"""The yardstick: the obvious pipeline that `driftwire-load bench detect` compares with, unchanged."""
