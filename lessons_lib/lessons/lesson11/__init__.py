"""Lesson 11: its explorer and checks."""
