"""How well raters agree: scores, intervals, tests, equivalence."""
