DELETE FROM heads WHERE endpoint = $1
