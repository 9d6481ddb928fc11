"""Status, results, previews and drawings of workflows and runs, as text."""
