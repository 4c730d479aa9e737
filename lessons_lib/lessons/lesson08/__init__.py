"""Lesson 8: its explorer, checks and studies."""
