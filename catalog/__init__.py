"""Facts as data, each with its source and date: instance types, allocatable memory, prices, parameters."""
