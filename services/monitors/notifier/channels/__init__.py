"""How each kind of channel is told: one folder each, with `render` (pure) and `send`."""
