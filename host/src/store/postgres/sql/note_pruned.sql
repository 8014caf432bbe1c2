UPDATE pruning SET pruned_to = $1
