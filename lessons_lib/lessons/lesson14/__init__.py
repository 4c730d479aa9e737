"""Lesson 14: its explorer and checks."""
