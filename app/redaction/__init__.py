"""Redaction of secrets: one word list, and one module each for text, parsed JSON objects and stored records."""
