"""What a dataset folder says of itself beside its card: tables, datasheet and Croissant description."""
