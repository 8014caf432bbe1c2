DELETE FROM health WHERE endpoint = $1
