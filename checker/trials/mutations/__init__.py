"""What is offered: one module per group of tests, with `MUTATION = Mutation(…)`."""
