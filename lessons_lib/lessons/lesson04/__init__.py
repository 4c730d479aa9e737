"""Lesson 4: its explorer and checks."""
