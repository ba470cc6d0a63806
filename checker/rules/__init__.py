"""The rule language: loads rule sets, evaluates conditions in three-valued logic, judges evidence."""
