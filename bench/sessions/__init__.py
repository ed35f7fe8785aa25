"""Engine sessions: one module per engine, opened from a stack's outputs."""
