SELECT bytes FROM components WHERE digest = $1
