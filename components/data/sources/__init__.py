"""Label formats people bring: files in, `Labelled` pictures with class ids out."""
