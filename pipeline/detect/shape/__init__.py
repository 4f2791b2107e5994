"""Changes in the shape of a value's distribution that its mean and its tails do not show.

This package may import findings, layout, one-sided tests, baselines and signals.
"""

from pipeline.detect.shape.shape_drifts import ShapeDrifts

__all__ = ["ShapeDrifts"]
