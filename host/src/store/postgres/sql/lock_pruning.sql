SELECT pruned_to FROM pruning FOR UPDATE
