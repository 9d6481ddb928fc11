"""What a live view of runs looks at."""
