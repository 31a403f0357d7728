"""Receivers: what takes data in from outside."""
