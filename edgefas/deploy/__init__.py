"""What goes to a board: bundles. The board's side needs numpy and the standard library."""
