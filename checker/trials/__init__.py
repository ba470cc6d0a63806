"""Active tests: the device's own verifier is offered what it must take and what it must refuse."""
