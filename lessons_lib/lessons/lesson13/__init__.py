"""Lesson 13: its explorer and checks."""
