"""Networks: a batch in, region features, scores and boxes out. No losses, no files, no loops."""
