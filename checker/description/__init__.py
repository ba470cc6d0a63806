"""YAML descriptions in, `Description` out; the only room that sees raw mappings."""
