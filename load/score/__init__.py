"""The score: what detect finds of failures whose truth is known, and what it says where nothing failed."""
