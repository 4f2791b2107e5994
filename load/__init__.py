"""Load tools for driftwire: a simulated service, file replays, a demo, scores and benchmarks."""
