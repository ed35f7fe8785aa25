"""The parts of an embedded stack as Pulumi resources; the supervisor in `local/` does the work."""
