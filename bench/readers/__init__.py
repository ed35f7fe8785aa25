"""How CSV is read: by each engine's own documented way, by ranges on all engines, or by functions for a cluster."""
