"""Lesson 10: its explorer and checks."""
