"""Tests of pseudo labels."""
