"""Who may call: an adapter for each kind of credential, behind the port `IdentityProvider`."""
