"""Small services as other teams write them, each with the instrumentation of one dialect and the real OTLP exporter.

They run with the Python of ``.venv/services``, which has the instrumentations but not driftwire::

    .venv/services/bin/python -m tests.services.openinference --openai URL --telemetry URL
"""
