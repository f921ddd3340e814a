"""What no allocation can beat: exact optima and lower bounds."""
