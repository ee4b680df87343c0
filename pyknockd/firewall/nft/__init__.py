"""The nf_tables tables."""
