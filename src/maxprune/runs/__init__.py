"""What every run of steps shares: its folder, what is measured of a step, the machine."""
