"""Tests of spans and log records as a source of records."""
