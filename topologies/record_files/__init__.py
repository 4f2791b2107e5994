"""Readers of files of records."""
