"""Publishing: the card, and the step that puts it beside the shards."""
