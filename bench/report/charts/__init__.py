"""Charts: pure functions from what was measured to Altair charts; `style` holds what they share."""
