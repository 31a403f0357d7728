"""Faults of the machine that airis runs on, as seen from inside its process."""
