"""What files and folders count by: their place, and the state they are in."""
