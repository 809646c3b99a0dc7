"""Real micro-expression corpora: adapters that read a user's own licensed copy into events of one form."""
