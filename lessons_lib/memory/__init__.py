"""What a training step needs, from a configuration alone, and the probe that measures it."""
