"""The bridge as an OAuth 2 resource server: it verifies its callers' tokens, and vouches for them to the mesh."""
