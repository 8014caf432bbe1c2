SELECT hashtextextended('hookwright ' || current_schema(), 0) & 4611686018427387903 AS number
