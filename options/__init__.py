"""Options, word by word: what the user said is read into values, or refused in one line."""
