-- What an insert writes is merged soon: as one file, because a file for each of the 100 to 200 streams of its columns
-- costs as much as what is in them. What merges make of more than an insert is in files by column, and is merged column
-- by column: that costs a third of a merge by rows.

ALTER TABLE $database.otel_traces$local $on_cluster
    MODIFY SETTING min_rows_for_wide_part = 65537, vertical_merge_algorithm_min_rows_to_activate = 65537;

ALTER TABLE $database.otel_logs$local $on_cluster
    MODIFY SETTING min_rows_for_wide_part = 65537, vertical_merge_algorithm_min_rows_to_activate = 65537;
