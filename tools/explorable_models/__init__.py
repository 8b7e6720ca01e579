"""One module for each explorable that has networks: see tools/explorables.py."""
