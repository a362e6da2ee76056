"""The version of the service, once."""

VERSION = "0.1.0"
