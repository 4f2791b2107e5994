"""detect: records to drifts. The first step of the path."""
