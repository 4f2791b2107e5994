"""The steps on Kafka, and the commands that people run."""
