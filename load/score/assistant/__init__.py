"""A second simulated service, a support assistant, whose baseline is learned live: its world, its events, its checkpoints.

This package may import world.
"""

from load.score.assistant.assistant_world import Assistant
from load.score.assistant.events import Change, Disturbances, Stage, Where
from load.score.assistant.live_stream import LiveSource, LiveStream
from load.score.assistant.played_event import PlayedEvent

__all__ = ["Assistant", "Change", "Disturbances", "LiveSource", "LiveStream", "PlayedEvent", "Stage", "Where"]
