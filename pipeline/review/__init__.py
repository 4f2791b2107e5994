"""Review: the draft of a post-incident review and its picture, made from the messages that an incident left behind."""
