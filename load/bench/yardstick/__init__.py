"""Reference pipeline of ``driftwire-load bench detect``, kept unchanged."""
