"""Load: a simulated world, replays of files, a demo, scores and a benchmark, all against the running product."""
