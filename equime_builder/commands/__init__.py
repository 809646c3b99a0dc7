"""The commands of `equime`, one module each; what they share is in `shared`."""
