"""The fingerprint of files and folders: places, their states, and looks at them."""
