"""The pure steps: detect, correlate and route. They exchange messages, and read no clocks, topics or environment."""
