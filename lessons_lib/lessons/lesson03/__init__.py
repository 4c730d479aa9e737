"""Lesson 3: its explorer, checks and studies."""
