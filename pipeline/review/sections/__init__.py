"""The sections of a review, one module each, in the order of the draft.

This package may import the material, drift histories and Markdown of the review.
"""

from collections.abc import Callable

from pipeline.review.material import Material
from pipeline.review.sections.actions import write_actions
from pipeline.review.sections.cause import write_cause
from pipeline.review.sections.gap import write_gap
from pipeline.review.sections.impact import write_impact
from pipeline.review.sections.questions import write_questions
from pipeline.review.sections.response import write_response
from pipeline.review.sections.sources import write_sources
from pipeline.review.sections.timeline import write_timeline

__all__ = ["SECTIONS"]

SECTIONS: tuple[tuple[str, Callable[[Material], list[str]]], ...] = (
    ("Impact", write_impact),
    ("Timeline", write_timeline),
    ("Detection gap", write_gap),
    ("Response", write_response),
    ("Root cause", write_cause),
    ("What to ask of an AI system", write_questions),
    ("Action items", write_actions),
    ("Sources", write_sources),
)
"""Title of every section, and the function that writes its lines."""
