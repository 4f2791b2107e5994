"""The draft of a post-incident review and the chart of its evidence, from the messages of one incident.

This package may import correlate's playbook, causes and deployments, and detect's signals. No step imports it.
"""

from pipeline.review.material import Material
from pipeline.review.picture import Mark, draw_picture, find_marks
from pipeline.review.review import write_review

__all__ = ["Mark", "Material", "draw_picture", "find_marks", "write_review"]
