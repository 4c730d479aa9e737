"""Lesson 1: its explorer, checks and studies."""
