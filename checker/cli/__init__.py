"""The command line: one module per command. Parses, wires and prints; decides nothing."""
