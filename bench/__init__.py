"""The harness: stack outputs, engine sessions, timing, rows, statistics, report."""
