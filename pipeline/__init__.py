"""The pure steps detect, correlate and route. They read no clock, topic or environment, and only exchange messages."""
