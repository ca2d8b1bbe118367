"""The drawn world: settings in; pictures with boxes and labels as files out; no model, no torch."""
