UPDATE heads SET head = NULL WHERE endpoint = $1
