"""Portrait sources: `folder`, `celeba-hq` and `procedural`, behind the protocol `PortraitSource`."""
