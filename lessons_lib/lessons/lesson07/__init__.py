"""Lesson 7: its explorer, checks and studies."""
