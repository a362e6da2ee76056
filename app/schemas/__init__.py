"""Schemas of HTTP requests and answers, one module per resource. The OpenAPI document is made of them."""
