"""Lesson 2: its explorer, checks and studies."""
