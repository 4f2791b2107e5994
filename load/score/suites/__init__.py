"""load/score/suites."""
