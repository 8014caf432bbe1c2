SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL enable_bitmapscan = off;
SET LOCAL enable_sort = off
