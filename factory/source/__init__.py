"""Where problems come from: one file per kind, the register, and the step that reads them."""
