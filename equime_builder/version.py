"""The version of the builder: part of every plan, since other code may make other bytes."""

VERSION = "0.1.0"
