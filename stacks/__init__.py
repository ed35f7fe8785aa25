"""Composition only: each module is one program, from settings to outputs."""
