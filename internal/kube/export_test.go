package kube

// Trim is what an object goes through on its way into a cache.
var Trim = trim

// Reused is reused.
var Reused = reused
