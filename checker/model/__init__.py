"""The words of otaudit as frozen types. Nothing here imports from the other rooms, does I/O or reads a clock."""
