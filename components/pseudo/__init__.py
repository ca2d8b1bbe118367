"""From what a teacher found to labels: how sure, which are kept, how much they count. No model."""
