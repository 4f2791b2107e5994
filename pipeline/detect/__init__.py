"""The detect step turns records into drifts. It is the first step of the pipeline."""
