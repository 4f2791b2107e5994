"""The yardstick: the obvious pipeline that ``driftwire-load bench detect`` measures the product against, unchanged."""
