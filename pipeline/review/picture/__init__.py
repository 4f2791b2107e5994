"""The picture of the evidence, drawn with matplotlib.

May import the material, minutes and Markdown of the review.
"""

from pipeline.review.picture.plot import plot

__all__ = ["plot"]
