"""Answering questions over HTTP: SQL, and what a failed query says of why."""
