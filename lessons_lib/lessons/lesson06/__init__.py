"""Lesson 6: its explorer, checks and studies."""
