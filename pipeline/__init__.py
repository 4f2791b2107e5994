"""The pure steps: detect, correlate and route. They exchange messages, and do not read clocks, topics or the environment."""
