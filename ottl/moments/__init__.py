"""Times and durations as texts, the way Go and the Collector read and write them."""
