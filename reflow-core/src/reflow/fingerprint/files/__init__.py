"""What files and folders count by: places, states and looks at them."""
