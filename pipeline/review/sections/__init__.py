"""The sections of a review, one function each.

May import the material, minutes and Markdown of the review.
"""

from pipeline.review.sections.actions import actions
from pipeline.review.sections.cause import cause
from pipeline.review.sections.gap import gap
from pipeline.review.sections.impact import impact
from pipeline.review.sections.questions import questions
from pipeline.review.sections.response import response
from pipeline.review.sections.timeline import timeline

__all__ = ["actions", "cause", "gap", "impact", "questions", "response", "timeline"]
