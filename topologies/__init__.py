"""Kafka topologies of the steps, and the command line."""
