"""Lesson 12: its explorer, checks and studies."""
