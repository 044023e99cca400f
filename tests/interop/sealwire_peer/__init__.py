"""A peer of the sealwire/1 protocol, written from docs/protocol.md alone.

It exists to check that page and the Rust implementation against each other.
It is not a product: Python cannot wipe secrets (KEY-3), so it must not guard real ones.
"""
