"""The chart of the evidence, drawn with matplotlib.

This package may import the material, drift histories and Markdown of the review.
"""

from pipeline.review.picture.marks import Mark, find_marks
from pipeline.review.picture.plot import draw_picture

__all__ = ["Mark", "draw_picture", "find_marks"]
