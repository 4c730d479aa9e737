"""Hugging Face causal language models. Nothing else in the library imports `transformers`.

It knows nothing of preferences, methods or the lab. Import the module that does the job:
`loading`, `pretrained`, `making`, `sampling`, `likelihood`, `hooks`, `precision`.
"""
