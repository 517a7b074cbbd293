package kube

// Trim is what an object goes through on its way into a cache.
var Trim = trim

// Reused is reused.
var Reused = reused

// What Surroundings is put together by, each a pure function.
var (
	WorkloadSpec = workloadSpec
	ViewNode     = viewNode
	ViewBudgets  = viewBudgets
	ViewQuotas   = viewQuotas
	ScalerOf     = scalerOf
	NeedsOf      = needsOf
)

// FactRetry is how long what is missing is believed, FactKeep how long all else is.
const (
	FactRetry = factRetry
	FactKeep  = factKeep
)
