"""A verdict as JSON, JUnit, HTML and text: layout only, nothing is computed here."""
