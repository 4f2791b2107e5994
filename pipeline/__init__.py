"""The pure steps: detect, correlate, route. They read no clock, no topic and no environment; they meet in messages."""
