"""Test tools that ship with the factory: a mock of the servers that policies are sampled on."""
