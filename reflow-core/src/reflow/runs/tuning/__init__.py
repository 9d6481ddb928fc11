"""What tasks should ask for, by what their elements have used: `tune`."""
