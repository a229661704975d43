"""A flood of urgent jobs, simulated: what each choice of policy makes the others wait."""
