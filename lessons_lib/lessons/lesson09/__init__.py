"""Lesson 9: its explorer and checks."""
