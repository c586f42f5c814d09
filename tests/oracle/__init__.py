"""Our walk of native stacks beside another unwinder's: of the same interrupts, frame by frame."""
