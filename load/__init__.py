"""Load for the running product: a simulated service, replays of files, a demo, scores and a benchmark."""
