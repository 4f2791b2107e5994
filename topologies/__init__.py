"""The wiring: the pure steps on Kafka, and the commands that people run."""
