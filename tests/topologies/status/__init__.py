"""Tests of the status of the subjects."""
