"""What the reading commands show: tables and pictures on a terminal, rows in a pipe."""
