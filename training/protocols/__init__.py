"""How models of micro-expressions are tested: tasks, divisions, and scores that a reviewer can check."""
