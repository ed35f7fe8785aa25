"""What can be declared: one component per module, importable without credentials."""
