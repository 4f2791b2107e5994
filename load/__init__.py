"""The load: a simulated world to send, real files to replay, a demo and a benchmark, all against the running product."""
