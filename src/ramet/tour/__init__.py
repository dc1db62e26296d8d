"""The live proof of every flag."""
