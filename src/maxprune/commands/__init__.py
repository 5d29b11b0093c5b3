"""The commands: each a thin shell over the library."""
