"""YAML and overrides in; frozen settings, or every problem at once, out. No defaults live here."""
