"""The version of the service, once."""

VERSION = "0.2.0"
