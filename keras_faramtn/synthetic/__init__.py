"""Synthetic faces with all 40 attributes, drawn procedurally."""
