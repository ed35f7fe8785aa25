"""Custom-resource bodies as pure functions on plain values, and the components that declare them."""
