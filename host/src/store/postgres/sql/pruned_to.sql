SELECT pruned_to FROM pruning
