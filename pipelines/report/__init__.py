"""The page of one run: plain values in, one self-contained HTML text out."""
