"""Lesson 5: its explorer, checks and studies."""
