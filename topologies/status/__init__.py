"""The status of the subjects: what arrives, what detect has read, and what it does with it.

This package may import kafka, console and the summaries of detect.
"""

from topologies.status.known_subjects import find_unseen_subjects
from topologies.status.status_table import render_status, status_json
from topologies.status.subject_status import Status, SubjectStatus, read_status

__all__ = ["Status", "SubjectStatus", "find_unseen_subjects", "read_status", "render_status", "status_json"]
