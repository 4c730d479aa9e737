"""Which method fits a dataset, what a log shows, and a folder that trains elsewhere: what an engineer asks."""
