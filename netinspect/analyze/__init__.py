"""From models to answers. Pure: never sees a tool's text."""
