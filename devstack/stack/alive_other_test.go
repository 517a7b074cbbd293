//go:build !unix

package stack

// alive cannot be asked here; that the ports are free again has to do.
func alive(int) bool { return false }
