"""The bridge: its weight, its start, what a call costs over the bare gRPC call, and how soon a cancelled one ends."""
