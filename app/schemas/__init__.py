"""What goes in and out over HTTP, one file per resource. They feed the OpenAPI document too."""
